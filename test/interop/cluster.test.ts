import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Page } from 'playwright-core'
import { startProgram, stopProgram } from '../support/child-process.js'
import { needs } from '../support/system-packages.js'
import { launchChromium } from './clients/chromium.js'
import { findPort } from './proxies.js'

// `SCREENSHOTS=1` writes that of docs/client.md.

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SUPERVISOR = 'examples/cluster/supervisor.ts'

async function figures (page: Page): Promise<Record<string, number>> {
  const entries = await page.locator('dd').evaluateAll(elements => elements.map(({ id, textContent }) => [id, Number(textContent)]))
  return Object.fromEntries(entries) as Record<string, number>
}

t.test('examples/cluster: processes die, and nothing is lost', needs('chromium', 'redis-server'), async t => {
  if (!existsSync(`${ROOT}/dist/lib/index.js`)) throw new Error('the example runs with the built package: run `npm run build` first')
  const ports = [await findPort(), await findPort()]
  // tap adds its loader to the NODE_OPTIONS of every child process; `env -u` takes it out again
  const program = startProgram(t, 'env', ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', SUPERVISOR], {
    cwd: ROOT,
    env: { ...process.env, PORTS: ports.join() }
  })
  // A kill would leave its children.
  t.teardown(() => stopProgram(program, 'SIGTERM'))
  const started: string[] = []
  const lines = createInterface({ input: program.stdout! })
  for await (const line of lines) {
    if (line.includes(' is at ')) started.push(line)
    if (started.length === 2) break
  }

  const browser = await launchChromium(t)
  const pages = []
  for (const port of ports) {
    const page = await browser.newPage({ viewport: { width: 800, height: 720 } })
    await page.goto(`http://127.0.0.1:${port}/`)
    pages.push(page)
  }
  for (let kill = 1; kill <= 3; kill++) {
    const page = pages[kill % 2]!
    await page.locator('#kill:not([disabled])').click()
    await page.waitForFunction(`document.querySelectorAll('#processes')[0].textContent >= ${Math.ceil(kill / 2) + 1}`)
    const before = (await figures(page)).stored!
    await page.waitForFunction(`document.getElementById('stored').textContent >= ${before + 2}`)
    if (kill === 3 && process.env.SCREENSHOTS !== undefined) await page.screenshot({ path: `${ROOT}/docs/images/cluster.png` })
  }
  for (const page of pages) {
    const { published } = await figures(page)
    await page.waitForFunction(`document.getElementById('stored').textContent >= ${published}`)
    const seen = await figures(page)
    t.match(seen, { holes: 0, doubles: 0 })
    t.ok(seen.received! > seen.stored!, `its own and the other's: ${JSON.stringify(seen)}`)
  }
})

t.test('examples/cluster without Redis says what is missing', async t => {
  const { status, stderr } = spawnSync(process.execPath, ['--import=tsx', SUPERVISOR], { cwd: ROOT, env: { ...process.env, NODE_OPTIONS: '', PATH: '/nowhere' }, encoding: 'utf8' })
  t.equal(status, 1)
  t.match(stderr, /needs redis-server.*\n.*apt-get install redis-server/)
})
