"""The calls of supabase-js that frontends make, by client and method, and what each has to give.

Derived from the clients' documentation and type definitions (postgrest-js, auth-js, functions-js 2.109). `FOUND` names
devices a, b, c by their external ids; a refusal is the code that the client finds in `error`.
"""

from __future__ import annotations

from typing import Any

Call = tuple[str, str, Any]


def found(*external_ids: str) -> Any:
    """The rows of these devices."""
    return [{"external_id": external_id} for external_id in external_ids]


FILTERS: list[Call] = [
    ("eq", "db().eq('external_id', 'a')", found("a")),
    ("neq", "db().neq('external_id', 'a').order('external_id')", found("b", "c")),
    ("gt", "db().gt('external_id', 'b')", found("c")),
    ("gte", "db().gte('external_id', 'c')", found("c")),
    ("lt", "db().lt('external_id', 'b')", found("a")),
    ("lte", "db().lte('external_id', 'a')", found("a")),
    ("like", "db().like('name', 'Pump%').order('external_id')", found("a", "b")),
    ("likeAllOf", "db().likeAllOf('name', ['Pump%', '%two'])", found("b")),
    ("likeAnyOf", "db().likeAnyOf('name', ['%one', 'Tank']).order('name')", found("a", "c")),
    ("ilike", "db().ilike('name', 'tank')", found("c")),
    ("ilikeAllOf", "db().ilikeAllOf('name', ['pump%', '%TWO'])", found("b")),
    ("ilikeAnyOf", "db().ilikeAnyOf('name', ['%ONE', 'tank']).order('name')", found("a", "c")),
    ("regexMatch", "db().regexMatch('name', '^Pump (one|six)$')", found("a")),
    ("regexIMatch", "db().regexIMatch('name', '^tank$')", found("c")),
    ("is", "db().is('device_type', null)", found("c")),
    ("isDistinct", "db().isDistinct('device_type', 'pump')", found("c")),
    ("in", "db().in('external_id', ['a', 'c']).order('external_id')", found("a", "c")),
    ("notIn", "db().notIn('external_id', ['a', 'c'])", found("b")),
    ("contains", "db().contains('metadata', { floor: 1 })", found("a")),
    (
        "containedBy",
        "db().containedBy('metadata', { floor: 2, more: 3 }).order('external_id')",
        found("b", "c"),
    ),
    ("match", "db().match({ device_type: 'pump', name: 'Pump two' })", found("b")),
    ("not", "db().not('device_type', 'is', null).order('external_id')", found("a", "b")),
    (
        "or",
        "db().or('external_id.eq.a,and(name.eq.Tank,device_type.is.null)').order('name')",
        found("a", "c"),
    ),
    ("filter", "db().filter('metadata->>floor', 'eq', '2').order('external_id')", found("b", "c")),
    # Of types that the product's tables have no columns of: the door asks Postgres, which has no such operator.
    ("overlaps", "db().overlaps('name', ['never'])", {"error": "42883"}),
    *(
        (name, f"db().{name}('created_at', '[2020-01-01,2030-01-01)')", {"error": "42883"})
        for name in ("rangeGt", "rangeGte", "rangeLt", "rangeLte", "rangeAdjacent")
    ),
    ("textSearch", "db().textSearch('name', 'pump')", {"error": "PGRST127"}),
]

TRANSFORMS: list[Call] = [
    (
        "select",
        "db('external_id, of:device_integrations(type:integration_type)').eq('external_id', 'a')",
        [{"external_id": "a", "of": {"type": "mqtt"}}],
    ),
    (
        "select",
        "db('external_id, device_integrations!inner(name)').eq('device_integrations.name', 'none')",
        [],
    ),
    ("select", "db('*', { count: 'exact', head: true })", {"data": None, "count": 3}),
    (
        "select",
        "db('external_id', { count: 'exact' }).limit(1).order('external_id')",
        {"count": 3, "status": 206},
    ),
    (
        "order",
        "db().order('device_type', { ascending: false, nullsFirst: false }).order('name')",
        found("a", "b", "c"),
    ),
    ("order", "db('external_id, device_integrations(id)').order('device_integrations(name)').limit(0)", []),
    ("limit", "db().order('external_id').limit(1)", found("a")),
    ("range", "db().order('external_id').range(1, 2)", found("b", "c")),
    ("abortSignal", "db().abortSignal(AbortSignal.timeout(9000)).eq('external_id', 'a')", found("a")),
    ("single", "db().eq('external_id', 'a').single()", {"external_id": "a"}),
    ("single", "db().single()", {"error": "PGRST116", "status": 406}),
    ("maybeSingle", "db().eq('external_id', 'none').maybeSingle()", {"data": None, "error": None}),
    ("csv", "db('external_id,name').eq('external_id', 'a').csv()", 'external_id,name\na,"Pump one"'),
    ("stripNulls", "db('external_id, device_type').eq('external_id', 'c').stripNulls()", found("c")),
    ("geojson", "db().geojson()", {"error": "PGRST107", "status": 406}),
    ("explain", "db().explain()", {"error": "PGRST107", "status": 406}),
    ("rollback", "db().eq('external_id', 'a').rollback()", found("a")),
    ("returns", "db().eq('external_id', 'a').returns()", found("a")),
    ("overrideTypes", "db().eq('external_id', 'a').overrideTypes()", found("a")),
    ("retry", "db().eq('external_id', 'a').retry(false)", found("a")),
    ("setHeader", "db().eq('external_id', 'a').setHeader('x-own', '1')", found("a")),
    ("throwOnError", "db('nothing').throwOnError().then(told, (error) => ({ error }))", {"error": "42703"}),
    (
        "maxAffected",
        "supabase.from('devices').update({ device_type: 'x' }).eq('integration_id', ids.integration).maxAffected(2)",
        {"error": "PGRST124"},
    ),
]

WRITES: list[Call] = [
    (
        "insert",
        "supabase.from('devices').insert(device('d', 'New')).select('external_id').single()",
        {"data": {"external_id": "d"}, "status": 201},
    ),
    ("insert", "supabase.from('devices').insert(device('d', 'Again'))", {"error": "23505", "status": 409}),
    (
        "insert",
        "supabase.from('devices').insert([device('e', 'E'), device('f', 'F')]).select().single()",
        {"error": "PGRST116"},
    ),
    ("select", "db('external_id').in('external_id', ['e', 'f'])", []),
    (
        "update",
        (
            "supabase.from('devices').update({ name: 'D' }).eq('integration_id', ids.integration)"
            ".eq('external_id', 'd').select('name')"
        ),
        [{"name": "D"}],
    ),
    ("update", "supabase.from('devices').update({ name: 'none' })", {"error": "21000"}),
    (
        "upsert",
        (
            "service.from('devices').upsert(device('d', 'Dd'),"
            " { onConflict: 'integration_id,organization_id,external_id' })"
        ),
        {"status": 200},
    ),
    (
        "upsert",
        (
            "service.from('devices').upsert(device('g', 'G'),"
            " { onConflict: 'integration_id,organization_id,external_id' })"
        ),
        {"status": 201},
    ),
    (
        "upsert",
        (
            "service.from('devices').upsert(device('g', 'H'),"
            " { onConflict: 'integration_id,organization_id,external_id', ignoreDuplicates: true }).select('name')"
        ),
        [],
    ),
    (
        "delete",
        (
            "supabase.from('devices').delete().eq('integration_id', ids.integration)"
            ".in('external_id', ['d', 'g']).select('external_id').order('external_id')"
        ),
        found("d", "g"),
    ),
    (
        "rpc",
        "service.rpc('ingest_messages', { p_integration_id: ids.integration, p_messages: [] }, { count: 'exact' })",
        {"error": None, "count": 1},
    ),
    ("rpc", "supabase.rpc('no_such_function', { a: 1 })", {"error": "PGRST202", "status": 404}),
    ("schema", "supabase.schema('private').from('x').select()", {"error": "PGRST106"}),
]

AUTH: list[Call] = [
    (
        "signUp",
        (
            "const { data } = await fresh.auth.signUp({ ...login, options: { data: { name: 'Kim' } } });"
            " return [data.user.email === login.email, data.user.user_metadata.name, Boolean(data.session)]"
        ),
        [True, "Kim", True],
    ),
    ("signUp", "fresh.auth.signUp(login)", {"error": "user_already_exists"}),
    (
        "signUp",
        "fresh.auth.signUp({ ...login, email: 'x' + login.email, password: 'a' })",
        {"error": "weak_password"},
    ),
    ("signOut", "fresh.auth.signOut()", {"error": None}),
    ("getSession", "fresh.auth.getSession()", {"data": {"session": None}}),
    ("getUser", "fresh.auth.getUser()", {"error": "AuthSessionMissingError"}),
    (
        "signInWithPassword",
        "fresh.auth.signInWithPassword({ ...login, password: 'wrong' })",
        {"error": "invalid_credentials"},
    ),
    (
        "signInWithPassword",
        "const { data } = await fresh.auth.signInWithPassword(login); return data.user.email === login.email",
        True,
    ),
    (
        "onAuthStateChange",
        (
            "const seen = []; const { data } = fresh.auth.onAuthStateChange((event) => void"
            " seen.push(event)); await fresh.auth.refreshSession(); data.subscription.unsubscribe();"
            " return seen.includes('TOKEN_REFRESHED')"
        ),
        True,
    ),
    (
        "refreshSession",
        "const { data, error } = await fresh.auth.refreshSession(); return [Boolean(data.session), error]",
        [True, None],
    ),
    (
        "setSession",
        (
            "const { data } = await fresh.auth.getSession(); const { error } = await"
            " fresh.auth.setSession(data.session); return error"
        ),
        None,
    ),
    (
        "getClaims",
        "const { data } = await fresh.auth.getClaims(); return [data.claims.role, data.header.alg]",
        ["authenticated", "ES256"],
    ),
    ("fetchJwk", "const { data } = await fresh.auth.getClaims(); return data.claims.aud", "authenticated"),
    (
        "getUserIdentities",
        (
            "const { data } = await fresh.auth.getUserIdentities();"
            " return data.identities.map((identity) => identity.provider)"
        ),
        ["email"],
    ),
    (
        "updateUser",
        (
            "const { data } = await fresh.auth.updateUser({ data: { name: 'Lee' } });"
            " return data.user.user_metadata.name"
        ),
        "Lee",
    ),
    ("updateUser", "fresh.auth.updateUser({ email: 'admin@alpha.test' })", {"error": "email_exists"}),
    ("resetPasswordForEmail", "fresh.auth.resetPasswordForEmail(login.email)", {"error": None}),
    (
        "verifyOtp",
        "fresh.auth.verifyOtp({ token_hash: 'made-up', type: 'recovery' })",
        {"error": "otp_expired"},
    ),
    ("signInWithOtp", "fresh.auth.signInWithOtp({ email: login.email })", {"error": "not_found"}),
    ("signInAnonymously", "fresh.auth.signInAnonymously()", {"error": "anonymous_provider_disabled"}),
    ("resend", "fresh.auth.resend({ type: 'signup', email: login.email })", {"error": "not_found"}),
    ("reauthenticate", "fresh.auth.reauthenticate()", {"error": "not_found"}),
    ("signInWithSSO", "fresh.auth.signInWithSSO({ domain: 'example.com' })", {"error": "not_found"}),
    (
        "signInWithIdToken",
        "fresh.auth.signInWithIdToken({ provider: 'google', token: 'x' })",
        {"error": "validation_failed"},
    ),
    (
        "exchangeCodeForSession",
        "fresh.auth.exchangeCodeForSession('x')",
        {"error": "validation_failed"},
    ),
]

ADMIN: list[Call] = [
    (
        "createUser",
        (
            "const { data } = await service.auth.admin.createUser({ ...login, email: 'made-' + login.email });"
            " ids.user = data.user.id; return data.user.role"
        ),
        "authenticated",
    ),
    ("createUser", "service.auth.admin.createUser(login)", {"error": "email_exists"}),
    (
        "getUserById",
        (
            "const { data } = await service.auth.admin.getUserById(ids.user); return data.user.email"
            " === 'made-' + login.email"
        ),
        True,
    ),
    (
        "updateUserById",
        (
            "const { data } = await service.auth.admin.updateUserById(ids.user, { app_metadata: { plan: 'x' } });"
            " return data.user.app_metadata.plan"
        ),
        "x",
    ),
    (
        "listUsers",
        (
            "const { data } = await service.auth.admin.listUsers({ page: 1, perPage: 2 });"
            " return [data.users.length, data.nextPage, data.total > 8]"
        ),
        [2, 2, True],
    ),
    ("deleteUser", "service.auth.admin.deleteUser(ids.user)", {"error": None}),
    ("deleteUser", "service.auth.admin.deleteUser(ids.user)", {"error": "user_not_found"}),
    ("listUsers", "supabase.auth.admin.listUsers()", {"error": "not_admin"}),
    (
        "generateLink",
        "service.auth.admin.generateLink({ type: 'magiclink', email: login.email })",
        {"error": "not_found"},
    ),
    ("inviteUserByEmail", "service.auth.admin.inviteUserByEmail('i' + login.email)", {"error": "not_found"}),
    (
        "signOut",
        (
            "const { data } = await fresh.auth.getSession(); const { error } = await"
            " service.auth.admin.signOut(data.session.access_token); return error"
        ),
        None,
    ),
]

FUNCTIONS: list[Call] = [
    (
        "invoke",
        (
            "const { data } = await supabase.functions.invoke(`integrations/${ids.integration}`, { method: 'GET' });"
            " return data.integration.id === ids.integration"
        ),
        True,
    ),
    ("invoke", "supabase.functions.invoke('integrations', { body: {} })", {"error": "FunctionsHttpError"}),
    ("invoke", "const { error } = await supabase.functions.invoke('none'); return error.context.status", 404),
]

CALLS = {
    "filter": FILTERS + TRANSFORMS,
    "query": WRITES,
    "auth": AUTH,
    "admin": ADMIN,
    "functions": FUNCTIONS,
}

NOT_CALLED = {
    "filter": {"processResponse"},
    "query": {"cloneRequestState"},
    "auth": {
        *("dispose", "initialize", "isThrowOnErrorEnabled", "startAutoRefresh", "stopAutoRefresh"),
        *("linkIdentity", "linkIdentityIdToken", "linkIdentityOAuth", "unlinkIdentity"),
        *("registerPasskey", "signInWithPasskey", "signInWithOAuth"),
        *("signInWithEthereum", "signInWithSolana", "signInWithWeb3"),
    },
    "admin": set[str](),
    "functions": {"setAuth"},
}
"""Methods that ask no door anything, or of ways to sign in that no local stack has (each is refused by its path)."""
