import { readFile } from 'node:fs/promises'
import t from 'tap'
import { DOCUMENT, updateRequirements } from '../../scripts/requirements.js'

t.test('docs/internals/requirements.md explains each code in a test name, and lists the files', async t => {
  t.equal(await readFile(DOCUMENT, 'utf8'), updateRequirements(), 'npm run requirements writes it')
})
