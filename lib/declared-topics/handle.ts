import type { DeclaredTopic, TopicTypes } from '../../types/declared-topics.js'
import type { PublishOptions, Topic, TopicPosition } from '../../types/topics.js'
import { createError } from '../errors.js'
import type { Hub } from '../topics/hub.js'
import { publish } from '../topics/publish.js'
import { TopicHandle } from '../topics/topic-handle.js'
import type { Declaration } from './declaration.js'

interface AnyTypes extends TopicTypes {
  message: unknown
}

/** A declared topic, as the app holds it. */
export class DeclaredTopicHandle implements DeclaredTopic<AnyTypes> {
  private readonly hub: Hub
  private readonly declaration: Declaration

  constructor (hub: Hub, declaration: Declaration) {
    this.hub = hub
    this.declaration = declaration
  }

  get pattern (): string {
    return this.declaration.pattern.text
  }

  name (params: unknown): string {
    const { pattern } = this.declaration
    const name = pattern.nameOf(params)
    const read = this.declaration.readParams(name.split('/'))
    if ('problem' in read) throw createError('FST_WS_ERR_INVALID_ARGUMENT', `topic '${pattern.text}' has no such name as '${name}': ${read.problem}`)
    return name
  }

  at (params: unknown): Topic<unknown> {
    return new TopicHandle(this.hub, this.name(params))
  }

  publish (params: unknown, message: unknown, options?: PublishOptions): Promise<TopicPosition | null> {
    return publish(this.hub, this.name(params), message, options, null)
  }
}
