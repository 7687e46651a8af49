import type { FastifyRequest, FastifyTypeProvider } from 'fastify'
import type { TopicHistory } from './broker.js'
import type { WebSocketConnection } from './connection.js'
import type { PublishOptions, Topic, TopicPosition } from './topics.js'

/**
 * The schemas of a declared topic, and how `app.asyncapi()` describes it.
 *
 * @see docs/topics.md
 */
export interface TopicSchema {
  /** Parameters of the name, as for routes: values are strings, which the validator may convert. */
  params?: unknown
  /** Messages that clients publish, compiled with the validator compiler of the instance. With it, clients may publish. */
  publish?: unknown
  /** Messages of the topic, validated and serialized with the compilers of the instance. */
  message?: unknown
  /** The value that `presence.info` returns, validated and serialized like messages. */
  member?: unknown
  /** `true` leaves the topic out of `app.asyncapi()`. */
  hide?: boolean
  /** Marks the topic as deprecated in `app.asyncapi()`. Default `false`. */
  deprecated?: boolean
  /** The tags of the topic in `app.asyncapi()`. */
  tags?: readonly string[]
  /** A description in Markdown, for `app.asyncapi()`. */
  description?: string
  /** One line about the topic, for `app.asyncapi()`. */
  summary?: string
  /** The key of the topic's channel. */
  operationId?: string
}

/** The types of a declared topic, if neither schemas nor callbacks say them: `app.topic<{ Message: RoomMessage }>(…)`. */
export interface TopicGenericInterface {
  /** The type of the parameters that callbacks get. */
  Params?: unknown
  /** The type of the messages that clients publish. */
  Publish?: unknown
  /** The type of the topic's messages. */
  Message?: unknown
  /** The type of what `presence.info` returns. */
  Member?: unknown
}

/** The types that a declared topic has in `~types`, for those who derive others from `typeof rooms`. */
export interface TopicTypes {
  /** As it was written, without the prefix of its instance. */
  pattern: string
  /** Parameters, to make a name of. */
  params: unknown
  /** Messages that clients publish. */
  publish: unknown
  /** Messages that subscribers get. */
  message: unknown
  /** Information about a member. */
  member: unknown
}

/** The names of a pattern's parameters: `'room'` of `'rooms/:room'`. */
export type TopicParamName<Pattern extends string> = string extends Pattern
  ? string
  : Pattern extends `${infer Part}/${infer Rest}` ? ParamOfPart<Part> | TopicParamName<Rest> : ParamOfPart<Pattern>

/** A double colon is a colon of the name. */
type ParamOfPart<Part extends string> = Part extends `::${string}` ? never : Part extends `:${infer Name}` ? Name : never

/** A value of a parameter that has a form in a name. */
type ParamValue = string | number | bigint | boolean

type Validated<Schema, TypeProvider extends FastifyTypeProvider> = (TypeProvider & { schema: Schema })['validator']

type Serialized<Schema, TypeProvider extends FastifyTypeProvider> = (TypeProvider & { schema: Schema })['serializer']

/** The first, unless nothing is known of it. */
type Known<Type, Otherwise> = unknown extends Type ? Otherwise : Type

/** Parameters as callbacks get them: validated, if there is a schema for them. */
export type TopicParams<Generic extends TopicGenericInterface, Pattern extends string, Schema extends TopicSchema, TypeProvider extends FastifyTypeProvider> =
  Generic extends { Params: infer Params }
    ? Params
    : Known<Schema extends { params: infer Params } ? Validated<Params, TypeProvider> : unknown, { [Name in TopicParamName<Pattern>]: string }>

/** Parameters to make a name of. */
export type TopicParamValues<Generic extends TopicGenericInterface, Pattern extends string, Schema extends TopicSchema, TypeProvider extends FastifyTypeProvider> =
  ToValues<TopicParams<Generic, Pattern, Schema, TypeProvider>>

type ToValues<Params> = { [Name in keyof Params]-?: string extends Params[Name] ? string | number : Extract<Params[Name], ParamValue> extends never ? ParamValue : Extract<Params[Name], ParamValue> }

/** Messages that clients publish, as `onPublish` gets them: validated, if there is a schema for them. */
export type TopicPublished<Generic extends TopicGenericInterface, Schema extends TopicSchema, TypeProvider extends FastifyTypeProvider> =
  Generic extends { Publish: infer Publish } ? Publish : Schema extends { publish: infer Publish } ? Validated<Publish, TypeProvider> : unknown

/** Messages of a topic. */
export type TopicMessageOf<Generic extends TopicGenericInterface, Schema extends TopicSchema, TypeProvider extends FastifyTypeProvider> =
  Generic extends { Message: infer Message } ? Message : Schema extends { message: infer Message } ? Serialized<Message, TypeProvider> : unknown

/** Information about a member, if something says its type besides `presence.info`. */
export type TopicMemberInfo<Generic extends TopicGenericInterface, Schema extends TopicSchema, TypeProvider extends FastifyTypeProvider, Info> =
  Generic extends { Member: infer Member } ? Member : Schema extends { member: infer Member } ? Serialized<Member, TypeProvider> : Info

/** An interface, so that none of the types is worked out before it is needed. */
export interface TopicTypesOf<
  Generic extends TopicGenericInterface, Pattern extends string, Schema extends TopicSchema, TypeProvider extends FastifyTypeProvider, Info
> extends TopicTypes {
  pattern: Pattern
  params: TopicParamValues<Generic, Pattern, Schema, TypeProvider>
  publish: TopicPublished<Generic, Schema, TypeProvider>
  message: TopicMessageOf<Generic, Schema, TypeProvider>
  member: TopicMemberInfo<Generic, Schema, TypeProvider, Info>
}

/**
 * Presence of a declared topic.
 *
 * @see docs/topics.md
 */
export interface TopicPresenceOptions<Info, Params, Instance, Request> {
  /** Makes the information about a member, which all subscribers see. Default: `null`. */
  info?: ((this: Instance, connection: WebSocketConnection, request: Request, params: Params) => Info | Promise<Info>) | undefined
  /** Milliseconds for which a member whose connection broke off stays one, since its client may come back. An integer from 0. Default 10 s. */
  grace?: number | undefined
  /** Up to this many members are listed and announced; above it, only their number is. An integer from 1. Default 1000. */
  max?: number | undefined
}

/**
 * The options of `app.topic`. Nothing is inferred from callbacks that get types of schemas: that would take the types of a schema
 * library apart, which costs the compiler a second.
 *
 * @see docs/topics.md
 */
export interface TopicDeclaration<
  Generic extends TopicGenericInterface, Pattern extends string, Schema extends TopicSchema, TypeProvider extends FastifyTypeProvider, Info, Instance,
  Request = FastifyRequest
> {
  /** Schemas of parameters, messages and members, and how `app.asyncapi()` describes the topic. Default: none, and clients may not publish. */
  schema?: Schema | undefined
  /**
   * Decides whether a client may subscribe, after the hooks of its route: it may unless this throws or rejects. An error with a
   * status from 400 to 499, or with a `code` of the app's own, is sent to the client with its message; of others, the client
   * learns only that they are there.
   */
  onSubscribe?: NoInfer<(
    this: Instance, connection: WebSocketConnection, params: TopicParams<Generic, Pattern, Schema, TypeProvider>, request: Request
  ) => unknown> | undefined
  /**
   * Decides what is published of a message of a client: the value that it returns, or nothing if that is `null`. Throws to
   * refuse, as `onSubscribe` does. Without it, messages that match `schema.publish` are published as they are.
   */
  onPublish?: NoInfer<(
    this: Instance,
    connection: WebSocketConnection,
    message: TopicPublished<Generic, Schema, TypeProvider>,
    params: TopicParams<Generic, Pattern, Schema, TypeProvider>,
    request: Request
  ) => TopicMessageOf<Generic, Schema, TypeProvider> | null | Promise<TopicMessageOf<Generic, Schema, TypeProvider> | null>> | undefined
  /** Keeps messages, so that clients that come back get what they have missed. Default: none are kept. */
  history?: TopicHistory | false | undefined
  /** Lets subscribers see each other. Default: they do not. */
  presence?: false | undefined | (Schema extends { member: infer Member }
    ? NoInfer<TopicPresenceOptions<Serialized<Member, TypeProvider>, TopicParams<Generic, Pattern, Schema, TypeProvider>, Instance, Request>>
    : TopicPresenceOptions<Info, NoInfer<TopicParams<Generic, Pattern, Schema, TypeProvider>>, Instance, Request>)
  /**
   * Reads the whole state of the topic, for clients that cannot resume: any value that has a form in JSON. Called at most once
   * a second for each topic and process, however many clients want it.
   */
  snapshot?: NoInfer<(this: Instance, params: TopicParams<Generic, Pattern, Schema, TypeProvider>) => unknown> | undefined
}

/**
 * A declared topic, with all names that its pattern stands for: what `app.topic` returns.
 *
 * @see docs/topics.md
 */
export interface DeclaredTopic<Types extends TopicTypes = TopicTypes> {
  /** With the prefix of the instance. */
  readonly pattern: string
  /**
   * Makes a name.
   *
   * @throws {TypeError} if a parameter is missing, or has no form in a name
   */
  name (params: Types['params']): string
  /** The topic with these parameters. Throws as `name` does. */
  at (params: Types['params']): Topic<Types['message'], Types['member']>
  /** `at(params).publish(message, options)`. Throws as `name` and `Topic.publish` do. */
  publish (params: Types['params'], message: Types['message'], options?: PublishOptions): Promise<TopicPosition | null>
  /** Exists for the compiler alone: the types of the topic, to derive those of clients from. */
  readonly '~types'?: Types
}
