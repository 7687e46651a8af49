import type { ClientMember } from '../../types/client.js'

/** A message of the server (docs/topics-protocol.md): what it is, is in the first member that it has. */
export interface ServerMessage {
  readonly hello?: { readonly beat: number }
  readonly subscribed?: string
  readonly unsubscribed?: string
  readonly published?: string
  readonly refused?: string
  readonly gap?: string
  readonly lost?: string
  readonly joined?: string
  readonly left?: string
  readonly presence?: string
  readonly topic?: string
  readonly message?: unknown
  readonly at?: string | null
  readonly id?: string
  readonly recovered?: boolean | null
  readonly snapshot?: unknown
  readonly members?: readonly ClientMember[]
  readonly member?: ClientMember
  readonly count?: number
  readonly code?: string
  readonly retry?: boolean
}
