import t from 'tap'
import { PROGRAMS } from './programs.js'
import { PROXIES } from './proxies.js'
import { missingPackages, runProgram, withFolder } from './run-program.js'
import { compareTable, documentedNames } from './table.js'

// Client programs in other languages, and what docs/interoperability.md says of them: see run.ts there.

/** Compilers and virtual machines beside the servers of this process. */
t.jobs = 2

t.test('docs/interoperability.md has these clients and proxies, and no others', async t => {
  const { clients, proxies } = await documentedNames()
  t.strictSame(clients, PROGRAMS.map(({ name }) => name))
  t.strictSame(proxies, ['nginx', 'HAProxy', ...Object.keys(PROXIES)])
})

for (const program of PROGRAMS) {
  const missing = missingPackages(program)
  const message = `without ${missing.join(', ')}`
  const isRequired = process.env.REQUIRE_SYSTEM_PACKAGES !== undefined
  t.test(`${program.language}: ${program.name}`, { buffered: true, skip: missing.length > 0 && !isRequired && message }, async t => {
    if (missing.length > 0) return t.fail(`REQUIRE_SYSTEM_PACKAGES is set, and this would be skipped: ${message}`)
    await withFolder(async folder => {
      const row = await runProgram(program, folder)
      for (const failure of row.verdict.failures) t.fail(failure)
      for (const name of row.verdict.passed) t.pass(name)
      for (const [column, reason] of Object.entries(row.verdict.reasons)) t.comment(`${column}: ${reason}`)
      for (const difference of await compareTable([row])) t.fail(difference)
    })
  })
}
