// A web application that signs people in with openid-client, as its examples do.
//
// Run as `node openid_client.mjs CONFIG`, a JSON file. What it learned is told at /state, for a
// test to read. With `initial_access_token` it registers itself; with `private_key`, a JWK, it
// authenticates by private_key_jwt.
import { createServer } from 'node:https'
import { readFileSync } from 'node:fs'
import { createRemoteJWKSet, importJWK, jwtVerify } from 'jose'
import * as client from 'openid-client'

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const url = (path) => `${config.url}${path}`
const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

// What a test is told; the tokens are those of the newest answer.
const state = { ended_sessions: [], came_back_signed_out: false }
const seenLogoutTokens = new Set()
let logoutState

const privateKey =
  config.private_key && (await importJWK(config.private_key, config.private_key.alg))

async function discover(...execute) {
  const authentication = privateKey
    ? client.PrivateKeyJwt({ key: privateKey, kid: config.private_key.kid })
    : undefined
  return client.discovery(
    new URL(config.issuer), state.client_id, state.client_secret, authentication, { execute },
  )
}

async function register() {
  const metadata = {
    client_name: 'An application that registered itself',
    redirect_uris: [url('/callback')],
    post_logout_redirect_uris: [url('/signed-out')],
    grant_types: ['authorization_code', 'refresh_token'],
    // What the library does with a secret; who says nothing here has registered for Basic.
    token_endpoint_auth_method: 'client_secret_post',
    backchannel_logout_uri: url('/backchannel'),
    backchannel_logout_session_required: true,
  }
  const registered = await client.dynamicClientRegistration(
    new URL(config.issuer), metadata, undefined, { initialAccessToken: config.initial_access_token },
  )
  const { client_id, client_secret } = registered.clientMetadata()
  Object.assign(state, { client_id, client_secret })
}

if (config.initial_access_token) await register()
else Object.assign(state, { client_id: config.client_id, client_secret: config.client_secret })

// Without this the library takes an ID token that came over TLS from the provider at its word.
const checks = client.enableNonRepudiationChecks
const forCode = await discover(checks)
const forHybrid = await discover(checks, client.useCodeIdTokenResponseType)
const keys = createRemoteJWKSet(new URL(forCode.serverMetadata().jwks_uri))

async function login(query) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const attempt = {
    pkceCodeVerifier,
    expectedState: client.randomState(),
    expectedNonce: client.randomNonce(),
    hybrid: query.get('response_type') === 'code id_token',
  }
  const location = client.buildAuthorizationUrl(attempt.hybrid ? forHybrid : forCode, {
    ...Object.fromEntries(query),
    redirect_uri: url('/callback'),
    scope: config.scopes.join(' '),
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: attempt.expectedState,
    nonce: attempt.expectedNonce,
  })
  // None: an answer that comes as a form is posted by another site.
  const cookie = Buffer.from(JSON.stringify(attempt)).toString('base64url')
  const attributes = 'Path=/; HttpOnly; Secure; SameSite=None; Max-Age=600'
  return redirect(location.href, { 'set-cookie': `attempt=${cookie}; ${attributes}` })
}

async function callback(request) {
  const cookie = /(?:^|; )attempt=([\w-]+)/.exec(request.headers.get('cookie') ?? '')
  if (!cookie) throw new Error('a login that did not begin in this browser')
  const { hybrid, ...checks } = JSON.parse(Buffer.from(cookie[1], 'base64url'))
  const chosen = hybrid ? forHybrid : forCode
  keep(await client.authorizationCodeGrant(chosen, request, checks))
  state.nonce = checks.expectedNonce
  return page('Signed in')
}

function keep(tokens) {
  state.claims = tokens.claims()
  state.id_token = tokens.id_token
  state.access_token = tokens.access_token
  state.refresh_token = tokens.refresh_token
}

async function refresh() {
  const tokens = await client.refreshTokenGrant(forCode, state.refresh_token)
  if (tokens.claims().sub !== state.claims.sub) throw new Error('a refresh for somebody else')
  keep(tokens)
}

async function userInfo() {
  state.userinfo = await client.fetchUserInfo(forCode, state.access_token, state.claims.sub)
}

function logout() {
  logoutState = client.randomState()
  const location = client.buildEndSessionUrl(forCode, {
    id_token_hint: state.id_token,
    post_logout_redirect_uri: url('/signed-out'),
    state: logoutState,
  })
  return redirect(location.href)
}

function signedOut(query) {
  if (!logoutState || query.get('state') !== logoutState) throw new Error('state did not match')
  state.came_back_signed_out = true
  return page('Signed out')
}

// openid-client leaves back-channel logout to jose, by the same author.
async function backChannel(request) {
  const { payload } = await jwtVerify((await request.formData()).get('logout_token'), keys, {
    issuer: config.issuer,
    audience: state.client_id,
    typ: 'logout+jwt',
    requiredClaims: ['iat', 'exp', 'jti', 'events', 'sid'],
    maxTokenAge: '2 minutes',
  })
  if (!(EVENT in payload.events) || 'nonce' in payload) throw new Error('no logout token')
  if (seenLogoutTokens.has(payload.jti)) throw new Error('a logout token came twice')
  seenLogoutTokens.add(payload.jti)
  state.ended_sessions.push(payload.sid)
}

const redirect = (location, headers = {}) =>
  new Response(null, { status: 302, headers: { location, ...headers } })
const page = (title) =>
  new Response(
    `<!doctype html><html lang=en><link rel=icon href=data:><title>${title}</title>`,
    { headers: { 'content-type': 'text/html; charset=utf-8' } },
  )
const told = (status, members) =>
  Response.json({ ...state, ...members }, { status, headers: { 'cache-control': 'no-store' } })

async function step(work) {
  try {
    await work()
    return told(200, {})
  } catch (error) {
    return told(400, { error: describe(error) })
  }
}

async function forPerson(work) {
  try {
    delete state.error
    return await work()
  } catch (error) {
    state.error = describe(error)
    return page('Failed')
  }
}

const describe = (error) =>
  [error.error, error.error_description, error.message, error.cause?.message]
    .filter(Boolean).join(': ')

async function answer(request) {
  const { pathname, searchParams } = new URL(request.url)
  switch (`${request.method} ${pathname}`) {
    case 'GET /login': return login(searchParams)
    case 'GET /callback':
    case 'POST /callback': return forPerson(() => callback(request))
    case 'POST /refresh': return step(refresh)
    case 'POST /userinfo': return step(userInfo)
    case 'GET /logout': return logout()
    case 'GET /signed-out': return forPerson(() => signedOut(searchParams))
    case 'POST /backchannel': return step(() => backChannel(request))
    case 'GET /state': return told(200, {})
    default: return new Response('not found', { status: 404 })
  }
}

const tls = { cert: readFileSync(config.certificate), key: readFileSync(config.key) }
const [host, port] = config.listen.split(':')
createServer(tls, async (incoming, outgoing) => {
  const hasBody = incoming.method === 'POST'
  const request = new Request(url(incoming.url), {
    method: incoming.method,
    headers: Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
    ...(hasBody && { body: incoming, duplex: 'half' }),
  })
  const response = await answer(request)
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  outgoing.end(Buffer.from(await response.arrayBuffer()))
}).listen(Number(port), host)
