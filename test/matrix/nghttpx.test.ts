import t from 'tap'
import { testProxy } from './proxies.js'

testProxy(t, 'nghttpx, HTTP/2 to the app')
