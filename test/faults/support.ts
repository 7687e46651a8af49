import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { startProgram, type ProcessTest } from '../support/child-process.js'
import { compiledProgram } from '../support/programs.js'
import type { FaultServerOptions } from './fault-server.js'

/** Asks a program that answers each line with a line of JSON. */
export type Ask = <T = null>(command: string) => Promise<T>

export interface Program {
  process: ChildProcess
  ask: Ask
}

export interface FaultServer extends Program {
  port: number
  /** Resolves when there are so many clients, after whatever time that takes. */
  clients (count: number): Promise<void>
}

/** Milliseconds between two questions. */
const ASK_EVERY = 20

/** @param wrapper what the program is started by */
export function startAsking (t: ProcessTest, file: string, argument: unknown, wrapper: string[] = []): Program {
  const program = compiledProgram(new URL(file, import.meta.url))
  const [command, ...args] = [...wrapper, process.execPath, ...program.loader, program.file, JSON.stringify(argument)]
  // Without the loaders of the test runner.
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = startProgram(t, command!, args, { env })
  const lines = createInterface(child.stdout!)
  let last: Promise<unknown> = Promise.resolve()
  const ask = (question: string): Promise<unknown> => {
    last = last.then(async () => {
      const answer = once(lines, 'line')
      child.stdin!.write(`${question}\n`)
      return JSON.parse((await answer)[0] as string) as unknown
    })
    return last
  }
  return { process: child, ask: ask as Ask }
}

export async function startFaultServer (t: ProcessTest, options: FaultServerOptions = {}, wrapper: string[] = []): Promise<FaultServer> {
  const program = startAsking(t, 'fault-server.ts', options, wrapper)
  return {
    ...program,
    port: await program.ask<number>('port'),
    clients: async count => {
      while (await program.ask<number>('clients') !== count) await sleep(ASK_EVERY)
    }
  }
}
