// The page of run.mjs: goes through the cases, and posts what it has to tell.
import { NOT_IN_BROWSERS, openAsInBrowsers, runCases } from './cases.mjs'

const report = new URLSearchParams(globalThis.location.search).get('report')
const lines = []

await runCases(openAsInBrowsers(WebSocket), NOT_IN_BROWSERS, { url: globalThis.location.origin.replace('http', 'ws'), print: line => lines.push(line) })
await fetch(report, { method: 'POST', mode: 'no-cors', body: lines.join('\n') })
