import axe from 'axe-core'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import type { Test } from 'tap'
import { findProgram } from '../support/system-packages.js'

/** The narrowest phone that the pages are made for, in CSS pixels. */
export const NARROWEST = 360

const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 800 } }
const PHONE: BrowserContextOptions = { viewport: { width: NARROWEST, height: 740 }, hasTouch: true, isMobile: true }

export interface View {
  name: string
  isPhone: boolean
  options: BrowserContextOptions
}

/** Every kind of screen in both colour schemes. */
export const VIEWS: View[] = (['light', 'dark'] as const).flatMap(colorScheme => [
  { name: `desktop, ${colorScheme}`, isPhone: false, options: { ...DESKTOP, colorScheme, reducedMotion: 'reduce' } },
  { name: `phone, ${colorScheme}`, isPhone: true, options: { ...PHONE, colorScheme, reducedMotion: 'reduce' } }
])

/** A headless Chromium, closed when the test ends. */
export async function launch (t: Test): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: findProgram('chromium')!,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
  })
  t.teardown(() => browser.close())
  return browser
}

/** Opens a page whose errors fail the test. */
export async function openPage (t: Test, browser: Browser, { options }: View): Promise<Page> {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.on('pageerror', error => t.fail(`${page.url()}: ${String(error)}`))
  return page
}

/** Fails for each violation of accessibility rules that axe calls serious or critical. */
export async function testAccess (t: Test, page: Page, name: string): Promise<void> {
  // Unlike a script element, it needs no permission of a Content Security Policy.
  await page.evaluate(axe.source)
  const violations = await page.evaluate(async () => {
    const { run } = (globalThis as unknown as { axe: typeof axe }).axe
    const { violations } = await run({ resultTypes: ['violations'] })
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, help, nodes }) => ({ id, help, nodes: nodes.slice(0, 5).map(node => `${node.target.join(' ')}: ${node.failureSummary}`) }))
  })
  t.strictSame(violations, [], `${name}: no serious violation`)
}

/** Fails if the page is wider than its window. */
export async function testWidth (t: Test, page: Page, name: string): Promise<void> {
  const [width, limit] = await page.evaluate('[document.documentElement.scrollWidth, document.documentElement.clientWidth]') as [number, number]
  t.ok(width <= limit, `${name}: no wider than its window: ${width} of ${limit} pixels`)
}

/** `SCREENSHOTS=FOLDER` writes what the tests look at. */
export async function photograph (page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS
  if (folder !== undefined) await page.screenshot({ path: `${folder}/${name.replace(/\W+/g, '-')}.png` })
}
