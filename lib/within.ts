/** Waits for a promise, up to `timeout` milliseconds. @param late makes the error with which it rejects then; without it, it resolves */
export async function within (timeout: number, promise: Promise<void>, late?: () => Error): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve, reject) => {
    timer = setTimeout(() => late === undefined ? resolve() : reject(late()), timeout)
  })
  try {
    await Promise.race([promise, limit])
  } finally {
    clearTimeout(timer)
  }
}
