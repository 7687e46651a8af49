/** Fields whose memory belongs to other objects, or is shared, and so does not count. */
const FOREIGN = new Set(['sink', 'budget', 'memory'])

/** Bytes of all buffers that an object holds, directly or in an object of its own: their capacity, not only their content. */
export function retainedBytes (holder: object): number {
  let sum = 0
  for (const [name, value] of Object.entries(holder) as [string, unknown][]) {
    if (typeof value !== 'object' || value === null || FOREIGN.has(name)) continue
    sum += ArrayBuffer.isView(value) ? value.byteLength : retainedBytes(value)
  }
  return sum
}
