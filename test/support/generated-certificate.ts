import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Teardown } from './app.js'
import { findProgram } from './system-packages.js'

/** A name that no resolver knows, for what stands between client and server to be told apart from both. */
export const PUBLIC_NAME = 'app.example.test'

export interface CertificateFiles {
  cert: string
  key: string
  /** Where the certificate is, and where both are in one file, as some programs want them. Gone when the test has ended. */
  certFile: string
  bundleFile: string
}

/** A self-signed certificate for `localhost`, both its addresses and `PUBLIC_NAME`, made anew by openssl. */
export async function createCertificate (t: Teardown): Promise<CertificateFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-tls-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const certFile = join(folder, 'cert.pem')
  const keyFile = join(folder, 'key.pem')
  const bundleFile = join(folder, 'bundle.pem')
  await promisify(execFile)(findProgram('openssl')!, [
    'req', '-x509', '-nodes', '-days', '2', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
    '-subj', '/CN=localhost', '-addext', `subjectAltName=DNS:localhost,DNS:${PUBLIC_NAME},IP:127.0.0.1,IP:::1`,
    '-keyout', keyFile, '-out', certFile
  ])
  const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
  await writeFile(bundleFile, cert + key)
  return { cert, key, certFile, bundleFile }
}
