/** Own properties that an error may have if it is thrown to refuse a client. */
const OF_REFUSALS: readonly string[] = ['code', 'message', 'name', 'statusCode', 'status', 'expose']

/** Codes of Node, its system calls, Fastify, and SQLite, whose drivers throw errors with nothing but a code. */
const FOREIGN = /^(?:ERR_|UND_ERR_|FST_|SQLITE_|EAI_|(?:ECONN|EADDR|EHOST|ENET)[A-Z]+$|(?:ETIMEDOUT|ENOTFOUND|EPIPE|ENOENT|EACCES|EPERM)$)/

/**
 * Whether the app has thrown this to refuse a client, which then gets its code and message: an error with a status from 400 to
 * 499, as those of Fastify and `@fastify/error` have it; or one without a status, with a `code` of the app's own. Whatever
 * else is thrown is a failure, and may contain what is not for clients: the address of a database, a query, a path.
 */
export function isRefusal (thrown: unknown): boolean {
  if (typeof thrown !== 'object' || thrown === null) return false
  const { code, statusCode, status = statusCode } = thrown as { code?: unknown, statusCode?: unknown, status?: unknown }
  if (status !== undefined) return typeof status === 'number' && status >= 400 && status <= 499
  return typeof code === 'string' && code !== '' && !FOREIGN.test(code) && Object.keys(thrown).every(name => OF_REFUSALS.includes(name))
}

/**
 * Makes the error that says which callback has failed: for the log, with a status that keeps it from the client.
 *
 * @param callback and the topic that it belongs to
 */
export function failure (callback: string, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return Object.assign(new Error(`${callback} failed: ${reason}`, { cause }), { statusCode: 500 })
}
