"""The Role that the chart renders, and what changes it."""

import pytest

from tests.charts.cases import Render, config
from tests.charts.rights import TABLE, rights_of

pytestmark = pytest.mark.servers


@pytest.mark.covers("R-95")
def test_role_is_the_table(render: Render) -> None:
    role = render().one("Role")

    assert rights_of(role["rules"]) == TABLE
    assert "ClusterRole" not in render().kinds()


@pytest.mark.covers("R-95")
def test_further_secrets_are_read_by_name_only(render: Render) -> None:
    role = render(rbac={"secretNames": ["harbor", "grafana"]}).one("Role")

    assert rights_of(role["rules"]) - TABLE == {
        ("secrets", "harbor", "get"),
        ("secrets", "grafana", "get"),
    }


@pytest.mark.covers("R-95")
def test_secrets_are_created_only_where_that_is_switched_on(render: Render) -> None:
    switched = render(rbac={"generateClientSecrets": True})
    configured = render(config=config(generateClientSecrets=True))

    # What was created has to be read again, by every replica.
    created = {("secrets", "", "create"), ("secrets", "", "get")}
    assert rights_of(switched.one("Role")["rules"]) - TABLE == created
    assert rights_of(configured.one("Role")["rules"]) - TABLE == created
    assert switched.config()["storage"]["config"]["generateClientSecrets"] is True


@pytest.mark.covers("R-95")
def test_role_follows_where_the_sealing_keys_are(render: Render) -> None:
    in_file = render(config=config(keyFile="/etc/keys/keys"))
    elsewhere = render(config=config(keySecret="other"))

    assert not [right for right in rights_of(in_file.one("Role")["rules"]) if "secrets" in right]
    assert {right[1] for right in rights_of(elsewhere.one("Role")["rules"])} >= {"other"}
    assert "kube-idp-sealing-keys" not in str(elsewhere.one("Role"))


def test_binding_is_of_the_account_that_the_pods_run_as(render: Render) -> None:
    rendered = render("--namespace", "idp", serviceAccount={"name": "somebody"})

    assert rendered.pod()["serviceAccountName"] == "somebody"
    assert rendered.one("ServiceAccount")["metadata"]["name"] == "somebody"
    assert rendered.one("RoleBinding")["subjects"] == [
        {"kind": "ServiceAccount", "name": "somebody", "namespace": "idp"}
    ]


@pytest.mark.covers("R-95")
def test_who_may_view_sees_no_hashes(render: Render) -> None:
    roles = {
        role["metadata"]["name"]: rights_of(role["rules"])
        for role in render(rbac={"aggregate": True}).all("ClusterRole")
    }

    assert set(roles) == {"default-kube-idp-view", "default-kube-idp-edit"}
    assert {right[0] for right in roles["default-kube-idp-view"]} == {
        "oidcclients.kube-idp.dev",
        "identityconnectors.kube-idp.dev",
    }
    assert not [right for role in roles.values() for right in role if "state." in right[0]]
