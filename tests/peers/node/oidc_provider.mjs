// The certified provider of panva, oidc-provider, set up like ours for the second opinion.
//
// Run as `node oidc_provider.mjs CONFIG`, a JSON file with `listen`, `clients` and
// `initial_access_token`. Whoever reaches the login is signed in as `account` by a GET of the
// interaction with `?as=NAME`; without it the page only says that a person would be asked.
import { readFileSync } from 'node:fs'
import { Provider } from 'oidc-provider'

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const issuer = `http://${config.listen}`
const [host, port] = config.listen.split(':')

const provider = new Provider(issuer, {
  clients: config.clients,
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  cookies: { keys: ['one key, for tests only'], long: { sameSite: 'none' } },
  enableHttpPostMethods: true,
  allowOmittingSingleRegisteredRedirectUri: false,
  jwks: { keys: config.keys },
  responseTypes: ['code', 'id_token', 'code id_token'],
  scopes: ['openid', 'email', 'profile', 'groups', 'offline_access'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  acrValues: config.acr_values,
  features: {
    devInteractions: { enabled: false },
    claimsParameter: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    pushedAuthorizationRequests: { enabled: false },
    revocation: { enabled: true },
    registration: { enabled: true, initialAccessToken: config.initial_access_token },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: false },
    requestObjects: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: (_, client, code) =>
    client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  rotateRefreshToken: true,
  // Applications of one's own: nobody is asked whether they may know a person.
  async loadExistingGrant(ctx) {
    const { client, session, params } = ctx.oidc
    const known = session.grantIdFor(client.clientId)
    const grant = known
      ? await ctx.oidc.provider.Grant.find(known)
      : new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId })
    grant.addOIDCScope(params.scope ?? 'openid')
    grant.addOIDCClaims(['email', 'email_verified', 'name', 'groups'])
    await grant.save()
    return grant
  },
  findAccount: (_, accountId) => ({
    accountId,
    claims: () => ({ sub: accountId, email: `${accountId}@example.com`, email_verified: true }),
  }),
  // An error page says its code where ours says it in words.
  renderError(ctx, out) {
    ctx.type = 'html'
    ctx.body = `<title>${out.error}</title>`
  },
})

provider.use(async (ctx, next) => {
  const found = /^\/interaction\/[\w-]+$/.test(ctx.path)
  if (!found) return next()
  if (ctx.query.as === undefined) {
    const { prompt } = await provider.interactionDetails(ctx.req, ctx.res)
    ctx.body = `<title>interaction ${prompt.name}</title>`
    return undefined
  }
  const result = { login: { accountId: ctx.query.as }, consent: {} }
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result))
  ctx.status = 303
  return undefined
})

provider.listen(Number(port), host)
