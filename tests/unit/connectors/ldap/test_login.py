"""Logins and refreshes over an honest directory: what is asked, where, and what is not."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.base import (
    AccessRefused,
    AccountLocked,
    BadCredentials,
    ConnectorUnavailable,
    Identity,
    IdentityGone,
    PasswordConnector,
    Refreshable,
)
from connectors.ldap import events
from connectors.ldap.config import DN, UserMatcher
from connectors.ldap.filters import FilterRefused
from tests.kit.directory_tree import (
    ALICE,
    BASE,
    BOB,
    NO_MAIL,
    PEOPLE_BASE,
    POSIX_GROUPS_BASE,
    SERVICE,
    TWIN,
    Attributes,
    entries,
)
from tests.kit.hostile_directory import answers
from tests.kit.hostile_directory.behaviours import Answers
from tests.kit.hostile_directory.requests import Bind
from tests.kit.hostile_directory.server import HostileDirectory
from tests.unit.connectors.ldap.world import (
    GROUPS,
    USERS,
    binds_of_people,
    config_of,
    honest,
    host_of,
    searches,
    world,
)

AD = "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {}, v4563"


@pytest.fixture
def directory() -> Iterator[HostileDirectory]:
    with honest() as running:
        yield running


def without_data(identity: Identity) -> Identity:
    return replace(identity, connector_data="")


def test_a_login_is_two_searches_and_a_bind(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory))) as here:
        assert isinstance(here.connector, PasswordConnector)
        assert isinstance(here.connector, Refreshable)
        identity = here.login()
        directory.forget()
        assert here.login() == identity
    seen = directory.seen().requests
    assert without_data(identity) == Identity(
        user_id="alice",
        username="Alice Liddell",
        preferred_username="alice",
        email="alice@example.org",
        email_verified=True,
        groups=("admins", "backend"),
    )
    # From the second login on connections are open, and the service account is bound.
    assert [type(each).__name__ for each in seen[:3]] == ["Search", "Bind", "Search"]
    assert [each.filter for each in searches(seen)] == [
        "(&(objectClass=inetOrgPerson)(uid=alice))",
        f"(member={ALICE.dn})",
    ]
    assert searches(seen)[0].size_limit == 2


def test_a_refresh_is_two_searches(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory))) as here:
        identity = here.login()
        directory.forget()
        assert here.refresh(identity) == identity
    seen = directory.seen().requests
    assert len(searches(seen)) == 2
    assert binds_of_people(seen) == []


@pytest.mark.covers("L-19")
def test_no_search_ever_runs_on_a_connection_that_a_person_bound(
    directory: HostileDirectory,
) -> None:
    with world(config_of(host_of(directory))) as here:
        for who in (ALICE, BOB) * 5:
            here.login(who)
            with pytest.raises(BadCredentials):
                here.login(who, "wrong")
    seen = directory.seen().requests
    of_people = {each.connection for each in binds_of_people(seen)}
    asked = searches(seen)
    assert len(asked) == 30
    assert all(each.bound_as == SERVICE.dn for each in asked)
    assert of_people.isdisjoint(each.connection for each in asked)
    # Nor does the service account bind where people do.
    of_service = {e.connection for e in seen if isinstance(e, Bind) and e.dn == SERVICE.dn}
    assert of_people.isdisjoint(of_service)


@pytest.mark.covers("L-19")
def test_many_logins_at_once_keep_to_their_connections(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory))) as here:

        async def all_at_once() -> list[Identity]:
            tries = [here.connector.login(who.uid, who.password) for who in (ALICE, BOB) * 15]
            return await asyncio.gather(*tries)

        identities = asyncio.run(all_at_once())
    assert [each.user_id for each in identities] == ["alice", "bob"] * 15
    seen = directory.seen().requests
    of_people = {each.connection for each in binds_of_people(seen)}
    assert of_people.isdisjoint(each.connection for each in searches(seen))


def test_an_unknown_name_and_a_wrong_password_are_bad_credentials(
    directory: HostileDirectory,
) -> None:
    with world(config_of(host_of(directory))) as here:
        for name, password in (("nobody", "x"), (ALICE.uid, "wrong"), (ALICE.uid, BOB.password)):
            with pytest.raises(BadCredentials):
                here.login_as(name, password)


@pytest.mark.parametrize("username", ["", " ", "\u00ad", "\0", "alice\0", "\ud800", "a" * 65536])
def test_names_that_are_nobodys_are_not_searched_for(
    directory: HostileDirectory, username: str
) -> None:
    with world(config_of(host_of(directory))) as here, pytest.raises(BadCredentials):
        here.login_as(username, "x")
    assert directory.seen().requests == []


@pytest.mark.covers("L-15")
def test_two_entries_of_one_name_are_bad_credentials_and_told(
    directory: HostileDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    users = replace(USERS, base_dn=BASE, username_attrs=("mail",))
    with world(config_of(host_of(directory), user_search=users)) as here:
        with pytest.raises(BadCredentials):
            here.login_as("twin@example.org", TWIN.password)
        assert here.events[events.SEVERAL_ENTRIES] == 1
    assert binds_of_people(directory.seen().requests) == []
    (told,) = [each for each in caplog.records if each.message == events.SEVERAL_ENTRIES]
    assert TWIN.dn in vars(told).values()


@pytest.mark.covers("L-15")
def test_three_entries_of_one_name_are_bad_credentials_too(directory: HostileDirectory) -> None:
    # The server stops at the size limit of two: that is no failing of the directory.
    users = replace(USERS, username_attrs=("objectClass",))
    with world(config_of(host_of(directory), user_search=users)) as here:
        with pytest.raises(BadCredentials):
            here.login_as("inetOrgPerson", "x")
        assert here.events[events.SEVERAL_ENTRIES] == 1


def test_a_missing_attribute_refuses_the_login_and_is_named(
    directory: HostileDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    with world(config_of(host_of(directory))) as here:
        with pytest.raises(AccessRefused):
            here.login(NO_MAIL)
        assert here.events[events.ATTRIBUTE_MISSING] == 1
        with pytest.raises(BadCredentials):
            here.login(NO_MAIL, "wrong")
        assert here.events[events.ATTRIBUTE_MISSING] == 1
    (told,) = [each for each in caplog.records if each.message == events.ATTRIBUTE_MISSING]
    assert vars(told)["attribute"] == "mail"
    assert vars(told)["dn"] == NO_MAIL.dn
    assert "userSearch" in vars(told)["remedy"]


@pytest.mark.covers("L-16", "R-66")
@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (Answers(result=49, text=AD.format("533")), AccountLocked, "account_disabled"),
        (Answers(result=49, text=AD.format("701")), AccountLocked, "account_expired"),
        (Answers(result=49, text=AD.format("532")), AccessRefused, "password_expired"),
        (Answers(result=49, text=AD.format("773")), AccessRefused, "password_must_change"),
        (Answers(result=49, text=AD.format("775")), BadCredentials, "account_locked"),
        (Answers(result=19), BadCredentials, "account_locked"),
        (
            Answers(result=49, controls=[answers.password_policy(error=1)]),
            BadCredentials,
            "account_locked",
        ),
        (
            Answers(result=0, controls=[answers.password_policy(error=2)]),
            AccessRefused,
            "password_must_change",
        ),
    ],
)
def test_accounts_that_are_out_are_told_apart_in_the_log_only(
    directory: HostileDirectory,
    caplog: pytest.LogCaptureFixture,
    answer: Answers,
    error: type[Exception],
    reason: str,
) -> None:
    caplog.set_level(logging.INFO)
    directory.tell("bind", answer, when=lambda asked: isinstance(asked, Bind) and is_alice(asked))
    with world(config_of(host_of(directory))) as here, pytest.raises(error) as refused:
        here.login()
    assert type(refused.value) is error
    (told,) = [each for each in caplog.records if each.message == events.LOGIN_REFUSED]
    assert vars(told)["reason"] == reason
    assert ALICE.password not in str(vars(told))


def is_alice(bind: Bind) -> bool:
    return bind.dn == ALICE.dn


@pytest.mark.covers("L-16")
def test_a_login_in_grace_goes_well_and_is_told(directory: HostileDirectory) -> None:
    grace = Answers(result=0, controls=[answers.password_policy(grace_binds=2)])
    directory.tell("bind", grace, when=lambda asked: isinstance(asked, Bind) and is_alice(asked))
    with world(config_of(host_of(directory))) as here:
        assert here.login().user_id == "alice"
        assert here.events[events.PASSWORD_RUNS_OUT] == 1


def changed_tree(dn: str, **attributes: list[str]) -> list[tuple[str, Attributes]]:
    """Return the tree with one entry changed."""
    return [(each, {**found, **attributes} if each == dn else found) for each, found in entries()]


@pytest.mark.parametrize(
    ("attributes", "login_error"),
    [
        ({"userAccountControl": ["514"]}, AccountLocked),
        ({"nsAccountLock": ["true"]}, AccountLocked),
        ({"accountExpires": ["132000000000000000"]}, AccountLocked),
        ({"userAccountControl": ["no number"]}, ConnectorUnavailable),
    ],
)
def test_an_entry_that_is_out_is_out_although_its_password_is_right(
    attributes: dict[str, list[str]], login_error: type[Exception]
) -> None:
    with (
        HostileDirectory(changed_tree(ALICE.dn, **attributes)) as directory,
        world(config_of(host_of(directory))) as here,
        pytest.raises(login_error),
    ):
        here.login()


@pytest.mark.parametrize(
    "attributes",
    [
        {"userAccountControl": ["514"]},
        {"msDS-User-Account-Control-Computed": ["16"]},
        {"pwdAccountLockedTime": ["000001010000Z"]},
        {"nsAccountLock": ["TRUE"]},
    ],
)
def test_who_was_disabled_or_locked_since_is_gone(attributes: dict[str, list[str]]) -> None:
    with honest() as directory, world(config_of(host_of(directory))) as here:
        identity = here.login()
    with (
        HostileDirectory(changed_tree(ALICE.dn, **attributes)) as directory,
        world(config_of(host_of(directory))) as here,
    ):
        with pytest.raises(IdentityGone):
            here.refresh(identity)
        assert here.events[events.REFRESH_REFUSED] == 1


def moved(identity: Identity, **how: str) -> Identity:
    """Refresh somebody in a directory where Alice's entry is another one."""
    tree = changed_tree(ALICE.dn, entryUUID=[how["anchor"]])
    tree = [(how.get("dn", dn) if dn == ALICE.dn else dn, found) for dn, found in tree]
    with HostileDirectory(tree) as directory, world(config_of(host_of(directory))) as here:
        return here.refresh(identity)


def test_who_moved_in_the_tree_is_found_and_who_has_the_id_of_another_is_not() -> None:
    with (
        HostileDirectory(changed_tree(ALICE.dn, entryUUID=["1"])) as directory,
        world(config_of(host_of(directory))) as here,
    ):
        identity = here.login()
    elsewhere = f"uid=alice,ou=moved,{PEOPLE_BASE}"
    assert moved(identity, anchor="1", dn=elsewhere).user_id == "alice"
    with pytest.raises(IdentityGone):
        moved(identity, anchor="2")


def test_the_id_stays_as_it_was_when_only_its_case_changed() -> None:
    with honest() as directory, world(config_of(host_of(directory))) as here:
        identity = here.login()
    with (
        HostileDirectory(changed_tree(ALICE.dn, uid=["ALICE"])) as directory,
        world(config_of(host_of(directory))) as here,
    ):
        assert here.refresh(identity).user_id == "alice"


def test_who_is_deleted_or_does_not_fit_the_filter_any_more_is_gone(
    directory: HostileDirectory,
) -> None:
    with world(config_of(host_of(directory))) as here:
        identity = here.login()
        with pytest.raises(IdentityGone):
            here.refresh(replace(identity, user_id="other", connector_data=""))
    stricter = replace(USERS, filter="(&(objectClass=inetOrgPerson)(!(cn=Alice Liddell)))")
    with (
        world(config_of(host_of(directory), user_search=stricter)) as here,
        pytest.raises(IdentityGone),
    ):
        here.refresh(identity)


def test_an_id_by_another_attribute_than_now_is_gone(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory))) as here:
        identity = here.login()
    by_mail = replace(USERS, id_attr="mail")
    with (
        world(config_of(host_of(directory), user_search=by_mail)) as here,
        pytest.raises(IdentityGone, match="idAttr"),
    ):
        here.refresh(identity)


def test_an_id_that_two_entries_have_at_a_refresh_is_nobodys_fault_but_the_directorys(
    directory: HostileDirectory,
) -> None:
    by_mail = replace(USERS, id_attr="mail", base_dn=BASE)
    with world(config_of(host_of(directory), user_search=by_mail)) as here:
        twin = Identity(user_id="twin@example.org")
        with pytest.raises(ConnectorUnavailable):
            here.refresh(twin)
        assert here.events[events.SEVERAL_ENTRIES] == 1


def test_an_attribute_that_went_away_spends_nobodys_login(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory))) as here:
        identity = here.login()
    tree = [(dn, {n: v for n, v in found.items() if n != "mail"}) for dn, found in entries()]
    with (
        HostileDirectory(tree) as directory,
        world(config_of(host_of(directory))) as here,
        pytest.raises(ConnectorUnavailable),
    ):
        here.refresh(identity)


def test_the_dn_can_be_the_id(directory: HostileDirectory) -> None:
    by_dn = replace(USERS, id_attr=DN)
    with world(config_of(host_of(directory), user_search=by_dn)) as here:
        identity = here.login()
        assert identity.user_id == ALICE.dn
        directory.forget()
        assert here.refresh(identity) == identity
        assert searches(directory.seen().requests)[0].scope == "base"
        with pytest.raises(IdentityGone):
            here.refresh(replace(identity, user_id="cn=x", connector_data=""))


def test_several_names_and_matchers_of_two_kinds(directory: HostileDirectory) -> None:
    users = replace(USERS, username_attrs=("uid", "mail"))
    matchers = (*GROUPS.matchers, UserMatcher(user_attr="uid", group_attr="memberUid"))
    groups = replace(GROUPS, base_dn=BASE, filter="(objectClass=*)", matchers=matchers)
    config = config_of(host_of(directory), user_search=users, group_search=groups)
    with world(config) as here:
        identity = here.login_as("a.liddell@example.org", ALICE.password)
    assert identity.groups == ("admins", "backend", "users", "wheel")
    assert POSIX_GROUPS_BASE.endswith(BASE)


def test_without_a_group_search_nobody_has_groups(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory), group_search=None)) as here:
        assert here.login().groups == ()


def test_without_a_service_account_nothing_is_bound_but_people(
    directory: HostileDirectory,
) -> None:
    with world(config_of(host_of(directory), bind_dn="")) as here:
        here.login()
    seen = directory.seen().requests
    assert [each.dn for each in seen if isinstance(each, Bind)] == [ALICE.dn]


def test_a_filter_that_is_none_is_refused_when_the_connector_is_made() -> None:
    with pytest.raises(FilterRefused), world(config_of(user_search=replace(USERS, filter="x"))):
        pass
    with pytest.raises(FilterRefused), world(config_of(group_search=replace(GROUPS, filter="x"))):
        pass


def test_a_closed_connector_can_be_asked_no_more(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory))) as here:
        here.login()
    with pytest.raises(ConnectorUnavailable):
        here.login()
    assert not any(each.is_open for each in directory.seen().connections)
