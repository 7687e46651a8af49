import t from 'tap'
import { examplesOf, typeCheck } from '../support/examples.js'
import { documents, project, testCoverage, testsOfDocuments } from './support.js'

t.test('every code block of every document has a check', async t => {
  await testCoverage(t, (await Promise.all(documents.map(examplesOf))).flat(), testsOfDocuments)
})

t.test('every example in TypeScript is typed', async () => {
  await typeCheck(project)
})
