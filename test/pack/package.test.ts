import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../support/examples.js'
import { packPackage, run } from '../support/packed.js'

// What others say of the package, and npm when it installs it.

const HERE = join(ROOT, 'test/pack')

t.test('the tarball', async t => {
  const { tarball } = await packPackage(t)

  t.test('has no fault that @arethetypeswrong/cli finds', async t => {
    t.match(await run(HERE, process.execPath, 'node_modules/@arethetypeswrong/cli/dist/index.js', '--no-color', '--format', 'ascii', tarball), /No problems found/)
  })

  t.test('has no fault that publint finds', async t => {
    t.match(await run(HERE, process.execPath, 'node_modules/publint/src/cli.js', 'run', tarball, '--strict'), /All good!/)
  })

  t.test('can be installed and required', async t => {
    const user = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-user-'))
    t.teardown(() => rm(user, { recursive: true, force: true }))
    await writeFile(join(user, 'package.json'), '{ "private": true }')
    const { version } = JSON.parse(await readFile(join(ROOT, 'node_modules/fastify/package.json'), 'utf8'))
    try {
      await run(user, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=1', '--fetch-retry-mintimeout=1000', tarball, `fastify@${version}`)
    } catch (err) {
      const isOnline = await run(user, 'npm', 'view', '--fetch-retries=0', 'fastify', 'version').then(() => true, () => false)
      if (isOnline || process.env.REQUIRE_SYSTEM_PACKAGES) throw err
      t.pass('installs', { skip: 'no package registry can be reached' })
      return
    }
    await mkdir(join(user, 'src'))
    for (const name of ['echo.cjs', 'required.cjs', 'both.mjs']) await writeFile(join(user, 'src', name), await readFile(join(HERE, 'programs', name)))
    for (const name of ['required.cjs', 'both.mjs']) t.match(await run(user, process.execPath, join('src', name)), /^(echoed\n)+$/, name)
  })
})

interface Component {
  name: string
  properties: { name: string, value: string }[]
  licenses?: { license?: { id?: string }, expression?: string }[]
}

/** Licences that ask for no more than a notice. */
const PERMISSIVE = ['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', '0BSD', 'BlueOak-1.0.0']

t.test('the SBOM', async t => {
  const { bomFormat, metadata, components } = JSON.parse(await run(ROOT, 'npm', 'run', '--silent', 'sbom')) as
    { bomFormat: string, metadata: { component: Component }, components: Component[] }
  const { dependencies, license } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  t.equal(bomFormat, 'CycloneDX')
  t.equal(metadata.component.licenses?.[0]?.license?.id, license)
  t.match(await readFile(join(ROOT, 'LICENSE'), 'utf8'), /^MIT License\n\nCopyright \(c\) \d{4} /)

  const used = components.filter(({ properties }) => !properties.some(({ name }) => name === 'cdx:npm:package:development'))
  for (const name of Object.keys(dependencies)) t.ok(used.some(component => component.name === name), name)
  const licenses = used.map(({ name, licenses }) => [name, licenses?.[0]?.license?.id ?? licenses?.[0]?.expression])
  t.strictSame(licenses.filter(([, id]) => !PERMISSIVE.includes(id ?? 'none')), [], 'no licence that asks for more than a notice')
})
