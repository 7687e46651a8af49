import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * The meaning of the bytes: frames to a server, without compression or with it, frames to a client, or a whole
 * connection, which starts with its request.
 */
export const MODES = ['plain', 'deflate', 'client', 'http'] as const
export type Mode = typeof MODES[number]

/** The bytes that a peer sends. They determine all the rest: where they are cut, how they end, and the limits. */
export interface Input {
  readonly mode: Mode
  readonly bytes: Buffer
}

/** Reports an input that did not have the expected result. */
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
