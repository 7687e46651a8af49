import t from 'tap'
import { needs } from '../support/system-packages.js'
import { startPythonClient } from './clients/python.js'
import { nodeClientTests } from './places.js'

t.test('Python websockets', needs('python3-websockets'), async t => {
  nodeClientTests(t, startPythonClient(t))
})
