import t from 'tap'
import { testProxy } from './proxies.js'

testProxy(t, 'Caddy')
