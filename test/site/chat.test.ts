import { once } from 'node:events'
import { createInterface } from 'node:readline'
import t from 'tap'
import { ROOT } from '../../scripts/prepare.js'
import { startProgram, stopProgram } from '../support/child-process.js'
import { needs } from '../support/system-packages.js'
import { launch, openPage, photograph, testAccess, testWidth, VIEWS } from './browser.js'

t.test('the chat of examples/chat', needs('chromium'), async t => {
  const env = { ...process.env, PORT: '0', LOG_LEVEL: 'warn' }
  const chat = startProgram(t, 'env', ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', 'examples/chat/server.ts'], { cwd: ROOT, env })
  t.teardown(() => stopProgram(chat, 'SIGTERM'))
  const [line] = await once(createInterface({ input: chat.stdout! }), 'line') as [string]
  const url = /http:\S+/.exec(line)![0]
  const browser = await launch(t)

  for (const view of VIEWS) {
    t.test(view.name, async t => {
      const page = await openPage(t, browser, view)
      await page.goto(`${url}#engines`)
      await page.getByLabel('Your name').waitFor()
      await testAccess(t, page, 'the name')
      await testWidth(t, page, 'the name')
      await photograph(page, `chat name ${view.name}`)

      await page.getByLabel('Your name').fill('Ada')
      await page.getByRole('button', { name: 'Enter', exact: true }).click()
      await page.locator('#status[data-state=open]').waitFor()
      const text = page.getByRole('textbox', { name: 'Message', exact: true })
      await text.fill('See https://example.com/ for a message that is long enough to take more than one line on a phone')
      await text.press('Enter')
      await page.getByRole('log').locator('.message:not(.pending) .text').last().waitFor()
      await testAccess(t, page, 'a conversation')
      await testWidth(t, page, 'a conversation')
      await photograph(page, `chat conversation ${view.name}`)
    })
  }
})
