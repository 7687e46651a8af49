import { parseArgs } from 'node:util'
import { CLIENT_PACKAGES, PROGRAMS } from './programs.js'
import { missingPackages, runProgram, withFolder } from './run-program.js'
import { compareTable, renderTable, writeTable, type Row } from './table.js'
import { debianVersion } from './versions.js'

// node --import tsx test/matrix/run.ts [--only NAME …] [--write]    clients, as in clients.test.ts; --write puts what they did into the docs
// node --import tsx test/matrix/run.ts --missing                    the packages of Debian that clients and proxies need and that are not there

const PROXY_PACKAGES = ['apache2', 'caddy', 'varnish', 'lighttpd', 'lighttpd-mod-openssl', 'nghttp2-proxy']

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    missing: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false }
  }
})

async function runAll (): Promise<void> {
  const rows: Row[] = []
  await withFolder(async folder => {
    for (const program of PROGRAMS.filter(({ name }) => values.only?.includes(name) ?? true)) {
      const label = `${program.language}, ${program.name}`
      const missing = missingPackages(program)
      if (missing.length > 0) {
        console.log(`${label}: skipped, without ${missing.join(', ')}`)
        continue
      }
      const row = await runProgram(program, folder)
      rows.push(row)
      console.log(`${label}: ${row.verdict.failures.length === 0 ? 'ok' : 'FAILED'}`)
      for (const failure of row.verdict.failures) console.log(`  ${failure}`)
      if (row.verdict.failures.length > 0) process.exitCode = 1
    }
  })
  console.log(renderTable(rows))
  if (values.write) await writeTable(rows)
  for (const difference of await compareTable(rows)) console.log(difference)
}

if (values.missing) console.log([...CLIENT_PACKAGES, ...PROXY_PACKAGES].filter(name => debianVersion(name) === null).join(' '))
else await runAll()
