"""Whom the LDAP connector lets in over a real slapd, with which groups, and for how long."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from connectors.base import (
    AccessRefused,
    BadCredentials,
    IdentityGone,
)
from connectors.ldap import events
from connectors.ldap.config import (
    DN,
    GroupSearch,
    UserMatcher,
)
from connectors.ldap.connector import LdapConnector
from tests.connectors.slapd_world import config_of, login, opened, refresh
from tests.kit.directory_tree import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    DORA,
    GROUPS_BASE,
    PARTNERS_BASE,
    PEOPLE,
    PEOPLE_BASE,
    POSIX_GROUPS_BASE,
    SERVICE,
    STRANGELY_NAMED,
    TWIN,
    DirectoryPerson,
    group_dn,
)
from tests.kit.servers.slapd import Slapd
from tests.kit.servers.slapd_policy import EXPIRED, IN_GRACE, LOCKED, MUST_CHANGE
from tests.vectors.hostile_names import HOSTILE_NAMES, OTHER_SPELLINGS

pytestmark = pytest.mark.servers


@pytest.mark.covers("L-13")
@pytest.mark.parametrize("who", STRANGELY_NAMED, ids=lambda who: who.uid)
def test_people_of_strange_names_sign_in(connector: LdapConnector, who: DirectoryPerson) -> None:
    identity = login(connector, who)
    assert (identity.preferred_username, identity.username) == (who.uid, who.cn)
    assert "staff" in identity.groups
    assert refresh(connector, identity) == identity


@pytest.mark.covers("L-11")
def test_hostile_names_find_nobody(connector: LdapConnector, slapd: Slapd) -> None:
    passwords = [each.password for each in PEOPLE]

    async def try_all() -> list[str]:
        found = []
        for number, name in enumerate(HOSTILE_NAMES):
            try:
                await connector.login(name, passwords[number % len(passwords)])
            except BadCredentials:
                continue
            found.append(name)
        return found

    mark = slapd.mark()
    assert asyncio.run(try_all()) == []
    asked = slapd.operations(since=mark)
    assert sum(each.kind == "SRCH" for each in asked) > 200
    assert {each.dn for each in asked if each.kind == "BIND"} == {SERVICE.dn}


@pytest.mark.covers("L-11", "R-68")
@pytest.mark.parametrize("spelling", OTHER_SPELLINGS)
def test_another_spelling_is_the_same_person_or_nobody(
    connector: LdapConnector, spelling: str
) -> None:
    with pytest.raises(BadCredentials):
        asyncio.run(connector.login(spelling, BOB.password))
    try:
        identity = asyncio.run(connector.login(spelling, ALICE.password))
    except BadCredentials:
        return
    assert identity == login(connector, ALICE)


def test_a_login_is_two_searches_and_a_bind(slapd: Slapd, counted: Counter[str]) -> None:
    config = config_of(slapd)
    assert config.group_search is not None
    flat = replace(config.group_search, matchers=(UserMatcher(user_attr=DN, group_attr="member"),))
    connector = opened(replace(config, group_search=flat), counted)
    login(connector, ALICE)
    mark = slapd.mark()
    identity = login(connector, ALICE)
    operations = slapd.operations(since=mark)
    refresh(connector, identity)
    both = slapd.operations(since=mark)
    connector.close()
    assert [each.kind for each in operations] == ["SRCH", "BIND", "SRCH"]
    assert [each.kind for each in both[3:]] == ["SRCH", "SRCH"]
    assert all(each.over_tls for each in both)


@pytest.mark.covers("L-19")
def test_searches_run_as_the_service_account_alone(connector: LdapConnector, slapd: Slapd) -> None:
    mark = slapd.mark()
    for who in (ALICE, BOB) * 3:
        login(connector, who)
    operations = slapd.operations(since=mark)
    searches = [each for each in operations if each.kind == "SRCH"]
    of_people = {e.connection for e in operations if e.kind == "BIND" and e.dn != SERVICE.dn}
    assert {each.bound_as.lower() for each in searches} == {SERVICE.dn.lower()}
    assert of_people
    assert of_people.isdisjoint(each.connection for each in searches)


@pytest.mark.covers("L-18")
def test_nested_groups(connector: LdapConnector, counted: Counter[str]) -> None:
    assert login(connector, ALICE).groups == ("admins", "backend", "developers", "staff")
    assert login(connector, BOB).groups == ("developers", "staff")
    assert login(connector, CAROL).groups == ("cycle-a", "cycle-b")
    assert counted == {}
    assert set(login(connector, DORA).groups) == {f"depth-{level}" for level in range(1, 11)}
    assert counted == {events.GROUPS_CUT_SHORT: 1}


def test_groups_by_name_and_by_dn_together(slapd: Slapd, counted: Counter[str]) -> None:
    groups = GroupSearch(
        base_dn=BASE,
        name_attr="cn",
        matchers=(
            UserMatcher(user_attr="uid", group_attr="memberUid"),
            UserMatcher(user_attr=DN, group_attr="member"),
        ),
    )
    connector = opened(replace(config_of(slapd), group_search=groups), counted)
    assert login(connector, ALICE).groups == ("admins", "backend", "users", "wheel")
    posix = replace(groups, base_dn=POSIX_GROUPS_BASE, scope="one", matchers=groups.matchers[:1])
    connector.close()
    connector = opened(replace(config_of(slapd), group_search=posix), counted)
    assert login(connector, ALICE).groups == ("users", "wheel")
    connector.close()


def test_groups_written_on_the_person(slapd: Slapd, counted: Counter[str]) -> None:
    """`memberOf` names groups by their DN, each of which is asked for its name."""
    groups = GroupSearch(
        base_dn=GROUPS_BASE,
        name_attr="cn",
        matchers=(UserMatcher(user_attr="memberOf", group_attr="entryDN"),),
    )
    connector = opened(replace(config_of(slapd), group_search=groups), counted)
    assert login(connector, ALICE).groups == ("admins", "backend")
    connector.close()


@pytest.mark.covers("L-15")
def test_two_entries_of_one_address(slapd: Slapd, counted: Counter[str]) -> None:
    config = config_of(slapd)
    both = replace(config.user_search, base_dn=BASE, username_attrs=("mail",))
    connector = opened(replace(config, user_search=both), counted)
    with pytest.raises(BadCredentials):
        asyncio.run(connector.login(TWIN.mail[0], TWIN.password))
    assert counted == {events.SEVERAL_ENTRIES: 1}
    one = replace(both, scope="one", base_dn=PARTNERS_BASE)
    connector.close()
    connector = opened(replace(config, user_search=one), counted)
    assert asyncio.run(connector.login(TWIN.mail[0], TWIN.password)).username == "Twin Outside"
    connector.close()


@pytest.mark.covers("L-16")
@pytest.mark.parametrize(
    ("who", "error"),
    [(LOCKED, BadCredentials), (EXPIRED, AccessRefused), (MUST_CHANGE, AccessRefused)],
    ids=["locked", "expired", "must change"],
)
def test_people_whom_the_password_policy_keeps_out(
    slapd: Slapd, counted: Counter[str], who: DirectoryPerson, error: type[Exception]
) -> None:
    config = config_of(slapd)
    connector = opened(
        replace(config, user_search=replace(config.user_search, base_dn=BASE)), counted
    )
    with pytest.raises(error) as refused:
        login(connector, who)
    assert type(refused.value) is error
    assert counted == {events.LOGIN_REFUSED: 1}
    with pytest.raises(BadCredentials):
        login(connector, who, "wrong")
    connector.close()


@pytest.mark.covers("L-16")
def test_a_login_in_grace(slapd: Slapd, counted: Counter[str]) -> None:
    config = config_of(slapd)
    connector = opened(
        replace(config, user_search=replace(config.user_search, base_dn=BASE)), counted
    )
    assert login(connector, IN_GRACE).preferred_username == IN_GRACE.uid
    assert counted == {events.PASSWORD_RUNS_OUT: 1}
    connector.close()


def test_who_is_locked_since_is_gone_and_back_when_unlocked(
    connector: LdapConnector, slapd: Slapd, person: DirectoryPerson
) -> None:
    identity = login(connector, person)
    slapd.lock(person.dn)
    with pytest.raises(IdentityGone):
        refresh(connector, identity)
    with pytest.raises(BadCredentials):
        login(connector, person)
    slapd.unlock(person.dn)
    assert refresh(connector, identity) == identity


def test_who_moved_is_found_with_the_groups_of_the_new_place(
    connector: LdapConnector, slapd: Slapd, person: DirectoryPerson
) -> None:
    identity = login(connector, person)
    assert identity.groups == ("admins",)
    base = f"ou=new place of {person.uid},{PEOPLE_BASE}"
    name = base.split(",")[0].removeprefix("ou=")
    slapd.add(base, {"objectClass": ["organizationalUnit"], "ou": [name]})
    slapd.rename(person.dn, rdn=f"uid={person.uid}", parent=base)
    assert refresh(connector, identity) == identity
    assert login(connector, person) == identity


def test_who_left_a_group_is_out_of_it_and_who_is_deleted_is_gone(
    connector: LdapConnector, slapd: Slapd, person: DirectoryPerson
) -> None:
    identity = login(connector, person)
    slapd.modify(group_dn("admins"), "delete", {"member": [person.dn]})
    assert refresh(connector, identity).groups == ()
    slapd.delete(person.dn)
    with pytest.raises(IdentityGone):
        refresh(connector, identity)


def test_a_namesake_of_who_was_deleted_is_somebody_else(
    slapd: Slapd, counted: Counter[str], person: DirectoryPerson
) -> None:
    config = config_of(slapd)
    by_uid = replace(config, user_search=replace(config.user_search, id_attr="uid"))
    connector = opened(by_uid, counted)
    identity = login(connector, person)
    slapd.delete(person.dn)
    slapd.add(person.dn, person.attributes)
    with pytest.raises(IdentityGone):
        refresh(connector, identity)
    # Who signs in anew is the new one, with the same id: it was the operator's choice.
    assert login(connector, person).user_id == identity.user_id
    connector.close()


def test_an_examination_tells_all(connector: LdapConnector) -> None:
    report = asyncio.run(connector.examine("alice"))
    assert report.is_well
    assert "TLSv1.3, verified" in [step.text for step in report.steps]
    assert report.identity is not None
    assert report.identity.groups == ("admins", "backend", "developers", "staff")
    asyncio.run(connector.probe())
