// node --import tsx test/compat/run.ts
//
// Runs the tests that @fastify/websocket publishes in its npm package, those of its types too, with this package in its
// place, and prints which do not pass, and why. Ends with 1 if there is one that is not listed in differences.ts, or
// one that is listed and passes.

import { createProject } from '../support/examples.js'
import { compareTests, compareTypes, findDifference, HANGING } from './compare.js'
import { TYPE_DIFFERENCES } from './differences.js'
import { runPublishedTests } from './published-tests.js'
import { compilePublishedTypes } from './published-types.js'

const SUBJECT = 'fastify-ws-routes'

const cleanups: Array<() => unknown> = []
try {
  const project = await createProject({ teardown: clean => { cleanups.push(clean) } }, import.meta.dirname)
  const results = await runPublishedTests(project, SUBJECT, HANGING)
  const passed = results.filter(result => result.passed)
  console.log(`${passed.length} of ${results.length} tests of @fastify/websocket pass. These do not, on purpose:\n`)
  for (const result of results.filter(result => !result.passed)) {
    const difference = findDifference(result)
    if (difference !== undefined) console.log(`${result.file}: ${result.name}\n    ${difference.why}\n    docs/migration.md: ${difference.row}`)
  }
  const errors = await compilePublishedTypes(project, SUBJECT)
  console.log(`\nIn its test of the types ${errors.length} statements do not hold, on purpose:\n`)
  for (const { line, times, why, row } of TYPE_DIFFERENCES) console.log(`${times} × ${line}\n    ${why}\n    docs/migration.md: ${row}`)

  const problems = [...compareTests(results), ...compareTypes(errors)]
  if (problems.length > 0) {
    console.error(`\nNot as listed in test/compat/differences.ts:\n\n${problems.join('\n')}`)
    process.exitCode = 1
  }
} finally {
  for (const clean of cleanups) await clean()
}
