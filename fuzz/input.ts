import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * What the bytes are: frames to a server, without compression and with it, frames to a client, or a connection from its
 * first byte on, the request included.
 */
export const MODES = ['plain', 'deflate', 'client', 'http'] as const
export type Mode = typeof MODES[number]

/** What a peer sends. Everything else - how it is cut, how it ends, which limits hold - follows from the bytes. */
export interface Input {
  readonly mode: Mode
  readonly bytes: Buffer
}

/** What was expected of an input, and is not so. */
export class FuzzFailure extends Error {
  override readonly name = 'FuzzFailure'
  readonly input: Input

  constructor (message: string, input: Input, options?: ErrorOptions) {
    super(message, options)
    this.input = input
  }
}

export const CORPUS = fileURLToPath(new URL('corpus', import.meta.url))
export const FINDINGS = fileURLToPath(new URL('findings', import.meta.url))

/** A file's name begins with the mode of what it contains: `deflate-final-block.bin`. */
export async function readInput (path: string): Promise<Input> {
  const mode = MODES.find(mode => basename(path).startsWith(`${mode}-`))
  if (mode === undefined) throw new Error(`the name of ${path} begins with none of ${MODES.map(mode => `${mode}-`).join(', ')}`)
  return { mode, bytes: await readFile(path) }
}

export async function readCorpus (): Promise<Map<string, Input>> {
  const names = (await readdir(CORPUS)).sort()
  return new Map(await Promise.all(names.map(async name => [name, await readInput(join(CORPUS, name))] as const)))
}

/** @returns the file's path */
export async function save ({ mode, bytes }: Input, folder = FINDINGS): Promise<string> {
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${mode}-${createHash('sha1').update(bytes).digest('hex').slice(0, 12)}.bin`)
  await writeFile(path, bytes)
  return path
}
