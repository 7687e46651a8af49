// Preloaded after tsx in every test process (see .taprc). tsx leaves the source text out of its source maps by
// writing `sourcesContent: [null]`, which tap's coverage report takes for an empty file, covered to 100 %.
// Without that key the report reads the file itself. A test that starts a Node process of its own
// and wants it covered hands on `process.execArgv`.
import { SourceMap } from 'node:module'

const { get } = Object.getOwnPropertyDescriptor(SourceMap.prototype, 'payload')

Object.defineProperty(SourceMap.prototype, 'payload', {
  configurable: true,
  get () {
    const { sourcesContent, ...payload } = get.call(this)
    return sourcesContent?.includes(null) ? payload : { ...payload, sourcesContent }
  }
})
