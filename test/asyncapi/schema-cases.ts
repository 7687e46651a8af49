import type { AsyncApiSchema } from '../../lib/index.js'

/** Schemas as routes may have them, and what becomes of them in the document. */
export const SCHEMA_CASES: ReadonlyArray<[schema: unknown, payload: AsyncApiSchema]> = [
  [{ type: 'string', nullable: true }, { type: ['string', 'null'] }],
  [{ type: ['string', 'null'], nullable: true }, { type: ['string', 'null'] }],
  [{ prefixItems: [{ type: 'string' }, { nullable: true, type: 'number' }], items: false }, { items: [{ type: 'string' }, { type: ['number', 'null'] }], additionalItems: false }],
  [{ type: 'array', items: [], additionalItems: false }, { type: 'array', items: false, additionalItems: false }],
  [{ dependentRequired: { a: ['b'] }, dependentSchemas: { c: { required: ['d'] } }, dependencies: { e: ['f'] } }, { dependencies: { e: ['f'], a: ['b'], c: { required: ['d'] } } }],
  [{ type: 'object', discriminator: { propertyName: 'kind' }, properties: {} }, { type: 'object', properties: {}, discriminator: 'kind' }],
  [{ type: 'bigint', minimum: 5n }, { minimum: 5 }],
  [{ $schema: 'https://json-schema.org/draft/2020-12/schema', $id: '#here', $anchor: 'there', $defs: { unused: {} }, type: 'null' }, { type: 'null' }],
  [{ properties: { $id: {}, const: { prefixItems: [true] } } }, { properties: { $id: {}, const: { items: [true] } } }],
  [{ default: new Date(0), 'x-parse': () => {}, title: undefined }, { default: '1970-01-01T00:00:00.000Z' }],
  [true, {}],
  [{ properties: { yes: true, no: false } }, { properties: { yes: true, no: false } }]
]

/** Those with which resolvers of references get lost, the parser's among them. */
export const CASES_FOR_NO_PARSER: typeof SCHEMA_CASES = [
  [{ properties: { $ref: { type: 'string', nullable: true } } }, { properties: { $ref: { type: ['string', 'null'] } } }],
  [{ default: { $ref: 'data', $id: 'data' }, enum: [{ $ref: 'data' }], const: { nullable: true } }, { default: { $ref: 'data', $id: 'data' }, enum: [{ $ref: 'data' }], const: { nullable: true } }],
  [JSON.parse('{ "properties": { "__proto__": { "type": "string", "nullable": true } } }'), JSON.parse('{ "properties": { "__proto__": { "type": ["string", "null"] } } }')]
]
