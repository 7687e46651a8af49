/** The routes cannot be described, or not yet. */
export class AsyncApiError extends Error {
  readonly code = 'FST_WS_ERR_ASYNCAPI'
}
