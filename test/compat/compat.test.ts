import { join } from 'node:path'
import t from 'tap'
import { createProject } from '../support/examples.js'
import { ONLY_THOROUGH } from '../support/thorough.js'
import { compileProgram } from './compile.js'
import { compareTests, compareTypes, HANGING } from './compare.js'
import { runPublishedTests } from './published-tests.js'
import { compilePublishedTypes } from './published-types.js'
import { CLEAN, MEMBERS_BEHIND, OURS_BEHIND, OURS_FIRST, PATHS } from './type-programs.js'

// The tests that @fastify/websocket publishes run against this package, as users get it, and what does not pass is
// what differences.ts lists, no more and no less. Against itself everything passes: what does not is ours.

// Against hanging; a busy machine takes its time.
t.setTimeout(600_000)

t.test('@fastify/websocket\'s own tests, of its behaviour and of its types', async t => {
  const project = await createProject(t, import.meta.dirname)

  // Nothing of ours is in this one: it says that the harness is right.
  t.test('against itself', ONLY_THOROUGH, async t => {
    const results = await runPublishedTests(project, '@fastify/websocket', [])
    t.same(results.filter(({ passed }) => !passed), [])
  })

  t.test('against this package', async t => {
    t.same(compareTests(await runPublishedTests(project, 'fastify-ws-routes', HANGING)), [])
  })

  t.test('the list would tell: of a test that fails, of one that passes, of one that is gone', async t => {
    const problems = compareTests([
      { file: 'base', name: 'Should expose a websocket', passed: false, error: 'broken' },
      { file: 'base', name: 'clashing upgrade handler', passed: true, error: '' }
    ])
    t.ok(problems.includes('base: Should expose a websocket: does not pass: broken'))
    t.ok(problems.some(problem => problem.startsWith('base: clashing upgrade handler: passes')))
    t.ok(problems.some(problem => problem.endsWith('there is no such test')))
  })

  t.test('its types, and what other packages import of them', ONLY_THOROUGH, async t => {
    const compile = (name: string, files: Record<string, string>, options: object): Promise<string[]> => compileProgram(join(project, name), files, options)
    t.same(await compile('clean', CLEAN, { skipLibCheck: false }), [])
    t.same(await compile('ours-first', OURS_FIRST, { skipLibCheck: true }), [])
    t.same(await compile('ours-behind', OURS_BEHIND, { skipLibCheck: true }), [])
    t.match(await compile('members-behind', MEMBERS_BEHIND, { skipLibCheck: true }), [/No overload/, /broadcast/, /protocols/, /signal/])
    t.same(await compile('paths', { ...OURS_FIRST, ...OURS_BEHIND, ...MEMBERS_BEHIND }, { skipLibCheck: false, paths: PATHS }), [])
  })

  t.test('the types', async t => {
    t.same(compareTypes(await compilePublishedTypes(project, 'fastify-ws-routes')), [])
  })
})
