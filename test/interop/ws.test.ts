import t from 'tap'
import { wsClient } from './clients/ws.js'
import { nodeClientTests } from './places.js'

nodeClientTests(t, wsClient)
