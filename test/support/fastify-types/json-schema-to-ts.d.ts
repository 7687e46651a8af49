// As much of the type provider for JSON schemas as Fastify's own tests of its types need to compile.

export type JSONSchema = boolean | { readonly [key: string]: unknown }

export type FromSchema<T> =
  T extends { const: infer Value } ? Value
    : T extends { enum: readonly (infer Value)[] } ? Value
      : T extends { type: 'string' } ? string
        : T extends { type: 'number' | 'integer' } ? number
          : T extends { type: 'boolean' } ? boolean
            : T extends { type: 'null' } ? null
              : T extends { properties: infer Properties } ? { [key: string]: unknown } & { -readonly [K in keyof Properties]?: FromSchema<Properties[K]> }
                : unknown
