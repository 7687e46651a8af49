import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { RawClient } from '../support/raw-client.js'
import { byName, Client, fileOf, project, replaceAll, runChecks, startProcess } from './support.js'

// Configurations of platforms agree with the app of the same page, and with each other.

/** A number that the app of the page has for an option. */
function ofApp (option: string): number {
  const [, value] = new RegExp(`\\b${option}: ([\\d_]+)`).exec(byName.get('deployed app')!.text)!
  return Number(value!.replaceAll('_', ''))
}

interface Manifest {
  kind: string
  metadata: { name: string, annotations?: Record<string, string> }
  // the fields differ from kind to kind
  spec: Record<string, any>
}

runChecks({
  async 'deployed app' (t, { text }) {
    const file = join(project, 'deployed.ts')
    await writeFile(file, replaceAll(text, { 'drainTime: 10_000': 'drainTime: 1_000' }))
    const { child, url } = await startProcess(t, file)
    const ready = `${url.replace('ws:', 'http:')}/ready`
    t.equal(await (await fetch(ready)).text(), 'ready')

    const clients = await Promise.all(Array.from({ length: 10 }, () => Client.open(t, `${url}/chat`)))
    clients[0]!.socket.send('hello')
    t.equal(await clients[1]!.text(), 'hello')

    // a client that does not answer its Close frame keeps the app waiting
    const deaf = await RawClient.open(Number(new URL(url).port), '/chat')
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await Promise.race(clients.map(client => client.closed))
    t.equal((await fetch(ready)).status, 503, 'the probe fails while the others are closed')
    deaf.destroy()
    for (const client of clients) t.strictSame(await client.closed, { code: 1012, reason: 'retry=0' })
    t.strictSame(await exited, [0, null], 'it ends by itself')
    // Draining ends a second before nine tenths of pluginTimeout.
    t.ok(ofApp('pluginTimeout') >= 1.2 * (ofApp('drainTime') + ofApp('closeTimeout')) + 1000)
  },

  async kubernetes (t, { text }) {
    const documents = parseAllDocuments(text)
    t.strictSame(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings]), [])
    const [deployment, service, ingress, scaler] = documents.map(document => document.toJS() as Manifest)
    t.strictSame([deployment, service, ingress, scaler].map(manifest => manifest!.kind), ['Deployment', 'Service', 'Ingress', 'HorizontalPodAutoscaler'])

    const { template, selector } = deployment!.spec
    const [container] = template.spec.containers
    const left = template.spec.terminationGracePeriodSeconds - container.lifecycle.preStop.sleep.seconds - ofApp('pluginTimeout') / 1000
    t.ok(left >= 5, `${left} seconds are left`)
    t.strictSame(selector.matchLabels, template.metadata.labels)
    t.match(byName.get('deployed app')!.text, `app.get('${container.readinessProbe.httpGet.path}'`)
    t.match(byName.get('deployed app')!.text, `?? ${container.ports[0].containerPort})`)
    t.equal(container.readinessProbe.httpGet.port, container.ports[0].name)

    t.strictSame(service!.spec.selector, template.metadata.labels)
    t.equal(service!.spec.ports[0].targetPort, container.ports[0].name)
    t.equal(ingress!.spec.rules[0].http.paths[0].backend.service.name, service!.metadata.name)
    for (const seconds of Object.values(ingress!.metadata.annotations!)) t.ok(Number(seconds) > 60, 'longer than by default')
    t.equal(scaler!.spec.scaleTargetRef.name, deployment!.metadata.name)
  },

  async systemd (t, { text }) {
    const settings = new Map([...text.matchAll(/^(\w+)=(.+)$/gm)].map(([, name, value]) => [name!, value!]))
    t.ok(Number(settings.get('TimeoutStopSec')) * 1000 > ofApp('pluginTimeout'))
    for (const line of text.split('\n')) t.match(line, /^$|^\[(Unit|Service|Install)\]$|^\w+=\S/)
  },

  async pm2 (t, example) {
    const { apps: [app] } = createRequire(import.meta.url)(fileOf(example)) as { apps: { kill_timeout: number }[] }
    t.ok(app!.kill_timeout > ofApp('pluginTimeout'))
  }
})
