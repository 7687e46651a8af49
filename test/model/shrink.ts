import type { AppPlan, Conversation, Plan } from './plan.js'

/** Milliseconds for all attempts together. */
const PATIENCE = 40_000

/**
 * Makes a plan smaller for as long as it fails.
 *
 * @param fails whether a plan does, tried as often as it takes
 */
export async function shrink (plan: Plan, fails: (plan: Plan) => Promise<boolean>): Promise<Plan> {
  const until = performance.now() + PATIENCE
  let smallest = plan
  for (let hasShrunk = true; hasShrunk;) {
    hasShrunk = false
    for (const smaller of smallerPlans(smallest)) {
      if (performance.now() > until) return smallest
      if (!await fails(smaller)) continue
      smallest = smaller
      hasShrunk = true
      break
    }
  }
  return smallest
}

/** The largest leaps first. */
function * smallerPlans (plan: Plan): Generator<Plan> {
  for (const conversations of without(plan.conversations)) if (conversations.length > 0) yield { ...plan, conversations }
  for (const elsewhere of without(plan.elsewhere)) yield { ...plan, elsewhere }
  yield * simpler(plan, { deflate: null, heartbeat: null, errorHandler: 'keeps', transport: 'tcp' })
  for (const [i, conversation] of plan.conversations.entries()) {
    for (const smaller of smallerConversations(conversation)) yield { ...plan, conversations: plan.conversations.with(i, smaller) }
  }
}

function * smallerConversations (conversation: Conversation): Generator<Conversation> {
  for (const steps of without(conversation.steps)) yield { ...conversation, steps }
  for (const app of smallerApps(conversation.app)) yield { ...conversation, app }
  yield * simpler(conversation, { slices: 'whole', isEarly: false, hook: 0, offer: null, answer: 'at once', isHijacked: false, ending: { how: 'wait' } })
  for (const [i, step] of conversation.steps.entries()) {
    if (step.do !== 'message') continue
    for (const smaller of simpler(step, { size: 0, fragments: 1, pings: false, isCompressed: false })) yield { ...conversation, steps: conversation.steps.with(i, smaller) }
  }
}

function * smallerApps (app: AppPlan): Generator<AppPlan> {
  for (const rules of without(app.rules)) yield { ...app, rules }
  for (const phases of without(app.phases)) yield { ...app, phases }
  for (const [i, rule] of app.rules.entries()) {
    for (const acts of without(rule.acts)) if (acts.length > 0) yield { ...app, rules: app.rules.with(i, { ...rule, acts }) }
    for (const [j, act] of rule.acts.entries()) {
      if (act.do !== 'send') continue
      for (const smaller of simpler(act, { times: 1, fragments: 1, memory: 'Buffer', hasCallback: false })) yield { ...app, rules: app.rules.with(i, { ...rule, acts: rule.acts.with(j, smaller) }) }
    }
  }
  for (const [i, phase] of app.phases.entries()) {
    for (const smaller of simpler(phase, { kind: 'on', busy: 0, gap: 0 })) yield { ...app, phases: app.phases.with(i, smaller) }
  }
  yield * simpler(app, { listensAfter: 0, handler: 'detached', closeListener: 'at once' })
}

/** Halves of the list, and then the list without each. */
function * without<T> (list: readonly T[]): Generator<T[]> {
  if (list.length > 2) {
    const half = list.length >> 1
    yield list.slice(half)
    yield list.slice(0, half)
  }
  for (let i = list.length - 1; i >= 0; i--) yield list.toSpliced(i, 1)
}

/** One property after the other. */
function * simpler<T extends object> (object: T, values: Partial<T>): Generator<T> {
  for (const [name, value] of Object.entries(values)) {
    if (JSON.stringify(object[name as keyof T]) !== JSON.stringify(value)) yield { ...object, [name]: value }
  }
}
