import type { FastifyInstance } from 'fastify'
import { OptionError } from '../errors.js'
import type { Policies, TopicPolicy } from '../topics-protocol/policies.js'
import type { Hub } from '../topics/hub.js'
import type { Declarations } from '../topics/settings.js'
import { Declaration } from './declaration.js'
import { DeclaredTopicHandle } from './handle.js'
import { checkDeclaration } from './options.js'
import { TopicPattern } from './pattern.js'
import { PatternTree } from './pattern-tree.js'

/** The declared topics of one app. */
export class DeclaredTopics implements Declarations, Policies {
  private readonly hub: Hub
  private readonly tree = new PatternTree<Declaration>()
  private readonly declarations: Declaration[] = []
  private isReady = false
  /** The last name that was looked up: a message that is published asks for it several times. */
  private lastName = ''
  private last: Declaration | null = null

  constructor (hub: Hub) {
    this.hub = hub
  }

  /** Gives the app `topic()`, and the hub the topics that are declared with it. */
  addTo (fastify: FastifyInstance): void {
    const declare = this.declare.bind(this)
    fastify.decorate('topic', function (this: FastifyInstance, pattern: unknown, options?: unknown) {
      return declare(this, pattern, options)
    } as FastifyInstance['topic'])
    this.hub.declarations = this
    fastify.addHook('onReady', async () => {
      this.isReady = true
      for (const { schemas } of this.declarations) schemas.compile()
    })
  }

  /** In the order in which they were declared. */
  get all (): readonly Declaration[] {
    return this.declarations
  }

  settingsOf (name: string): Declaration | null {
    if (name === this.lastName) return this.last
    this.lastName = name
    this.last = this.tree.find(name)?.value ?? null
    return this.last
  }

  policyOf (name: string): TopicPolicy | null {
    const match = this.tree.find(name)
    return match === null ? null : match.value.policyOf(name, match.parts)
  }

  private declare (instance: FastifyInstance, patternText: unknown, options: unknown): DeclaredTopicHandle {
    const pattern = new TopicPattern(patternText, instance.prefix)
    const title = `topic '${pattern.text}'`
    if (this.isReady) throw new OptionError(`${title}: topics are declared before the app is ready, as routes are`)
    const declaration = new Declaration(instance, pattern, checkDeclaration(options, title))
    const other = this.tree.add(pattern, declaration)
    if (other !== null) {
      const written = other.pattern.text === pattern.text ? '' : `, as '${other.pattern.text}'`
      throw new OptionError(`${title}: the pattern is declared already${written}`)
    }
    this.declarations.push(declaration)
    this.lastName = ''
    this.last = null
    return new DeclaredTopicHandle(this.hub, declaration)
  }
}
