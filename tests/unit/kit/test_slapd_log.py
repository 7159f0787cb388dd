"""slapd's log read as records, also where its threads write lines out of order."""

from tests.kit.servers.slapd_log import OperationLog

_BOUND = """\
1 0x7 conn=1000 fd=11 ACCEPT from IP=127.0.0.1:5 (IP=127.0.0.1:389)
1 0x7 conn=1000 op=0 BIND dn="uid=a,dc=b" method=128
1 0x7 conn=1000 op=0 BIND dn="uid=a,dc=b" mech=SIMPLE bind_ssf=0 ssf=0
1 0x7 conn=1000 op=0 RESULT tag=97 err=0 qtime=0.1 etime=0.2 text=
"""


def test_operation_without_result_is_not_settled() -> None:
    log = OperationLog(_BOUND + '1 0x7 conn=1000 op=1 DEL dn="uid=c,dc=b"\n')

    assert not log.is_settled
    assert [(each.kind, each.result) for each in log.operations] == [("BIND", 0), ("DEL", None)]
    assert log.operations[1].bound_as == "uid=a,dc=b"


def test_nothing_is_awaited_from_a_closed_connection() -> None:
    searched = '1 0x7 conn=1000 op=1 SRCH base="" scope=0 deref=0 filter="(objectClass=*)"\n'
    closed = "1 0x7 conn=1000 fd=11 closed (connection lost)\n"

    assert not OperationLog(_BOUND + searched).is_settled
    assert OperationLog(_BOUND + searched + closed).is_settled


def test_half_a_line_waits_for_its_rest() -> None:
    assert OperationLog(_BOUND.rstrip("\n")).operations[0].result is None


def test_operation_may_be_written_before_its_connection() -> None:
    accepted, *others = _BOUND.splitlines(keepends=True)
    log = OperationLog(others[0] + accepted + "".join(others[1:]))

    assert log.connections == 1
    assert [each.result for each in log.operations] == [0]


def test_restart_counts_connections_on() -> None:
    log = OperationLog(_BOUND + "1 0x7 slapd starting\n" + _BOUND)

    assert [each.connection for each in log.operations] == [1, 2]


def test_failed_bind_leaves_nobody_bound() -> None:
    again = _BOUND.replace("op=0", "op=1").replace("err=0", "err=49").splitlines(keepends=True)[1:]
    log = OperationLog(_BOUND + "".join(again) + '1 0x7 conn=1000 op=2 SRCH base="dc=b" scope=2\n')

    assert [each.bound_as for each in log.operations] == ["", "uid=a,dc=b", ""]


def test_dn_holds_quotes_and_commas() -> None:
    searched = (
        '1 0x7 conn=1000 op=1 SRCH base="cn=\\22J\\22\\2C x,dc=b" scope=1 deref=0 '
        'filter="(cn=a \\22 b)"\n'
    )
    operation = OperationLog(_BOUND + searched).operations[1]

    assert (operation.dn, operation.scope) == (r"cn=\22J\22\2C x,dc=b", "one")
    assert operation.filter == r"(cn=a \22 b)"
