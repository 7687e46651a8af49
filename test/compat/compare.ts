import { DIFFERENCES, TYPE_DIFFERENCES, type Difference } from './differences.js'
import type { FileResult } from './published-tests.js'
import type { TypeError } from './published-types.js'

/** The tests that would wait for ever. */
export const HANGING = DIFFERENCES.filter(({ hangs }) => hangs).map(({ test }) => test)

export function findDifference ({ file, name }: FileResult): Difference | undefined {
  return DIFFERENCES.find(difference => difference.file === file && difference.test === name)
}

/** @returns what the list of differences does not say, or says wrongly; empty if it is right */
export function compareTests (results: readonly FileResult[]): string[] {
  const problems: string[] = []
  for (const result of results) {
    const difference = findDifference(result)
    if (!result.passed && difference === undefined) problems.push(`${result.file}: ${result.name}: does not pass: ${result.error}`)
    if (result.passed && difference !== undefined) problems.push(`${result.file}: ${result.name}: passes, although it is listed as a difference`)
  }
  for (const { file, test } of DIFFERENCES) {
    if (!results.some(result => result.file === file && result.name === test)) problems.push(`${file}: ${test}: is listed, but there is no such test`)
  }
  return problems
}

/** @returns what the list of differences does not say, or says wrongly; empty if it is right */
export function compareTypes (errors: readonly TypeError[]): string[] {
  const problems = errors
    .filter(({ line }) => !TYPE_DIFFERENCES.some(difference => difference.line === line))
    .map(({ line, message }) => `types: ${line}: ${message}`)
  for (const { line, times } of TYPE_DIFFERENCES) {
    const found = errors.filter(error => error.line === line).length
    if (found !== times) problems.push(`types: ${line}: is listed as a difference ${times} times, and is one ${found} times`)
  }
  return problems
}
