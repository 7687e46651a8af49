import t from 'tap'
import { testProxy } from './proxies.js'

testProxy(t, 'Apache, mod_proxy_http')
testProxy(t, 'Apache, mod_proxy_wstunnel')
