"""
Which documents have commands, and where each is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tests.support.documented.blocks import Block

DEVELOPMENT: Sequence[str] = (
    "README.md",
    "docs/operations.md",
    "docs/tutorials/first_publisher.md",
    "docs/tutorials/first_webhook.md",
    "docs/webhooksctl.md",
)
"""
Documents whose commands for development are run against a pair in development mode.
"""

PRODUCTION: Sequence[str] = (
    "docs/operations.md",
    "docs/how_to/find_why_nothing_arrived.md",
    "docs/how_to/change_payload_version.md",
    "docs/how_to/recover_from_an_outage.md",
    "docs/how_to/rotate_secrets.md",
    "docs/how_to/renew_certificates.md",
    "docs/how_to/add_a_replica.md",
    "docs/upgrades.md",
)
"""
Documents that are run in an installation in production mode, in this order; of those that are in
both lists only what is not for development.
"""

ELSEWHERE: Mapping[str, str] = {
    "docs/backup_and_restore.md": "tests/e2e/test_backup.py",
    "docs/console.md": "tests/e2e/test_console_sign_in.py",
    "docs/receiving.md": "tests/contract/test_receiving_page.py",
    "proto/README.md": "tests/contract/test_proto_bundle.py",
}
"""
Documents whose commands other tests run.
"""

NOT_RUN: Mapping[str, str] = {
    r"^make (run|test|check|proto)\b": "the tests are run by it, or would change the tree",
    r"\bdocker (compose|run)\b": "no registry of images can be reached from the tests",
    r"^(helm|kubectl) ": "there is no cluster; tests/contract/deploy/test_chart.py"
    " renders the chart",
    r"^python3 -m venv /opt": "it changes the machine; tests/contract/deploy/test_systemd.py"
    " checks the units",
    r"-m console$": "it listens on port 443; tests/e2e/test_console_sign_in.py starts it so",
}
"""
Commands that are not run, and why: a block with one of them is left out.
"""

# A delivery that waits, after an attempt that has failed: nobody listens on the port.
_DELIVERY = """
webhooksctl subscriptions create --id sub_7f3a --event orders/shipped --url http://127.0.0.1:9/
webhooksctl trigger orders/shipped --yes --set order.customer.email=ann@example.com
until webhooksctl attempts list -o json | grep -q attempts/; do sleep 0.2; done
name=$(webhooksctl deliveries list -o json | jq -r '.[0].name')
echo "placeholder=dlv_…=${name##*/}"
echo "placeholder=sub_…=sub_7f3a"
"""

# One that has failed for good, to a URL that is right since.
_FAILED = """
webhooksctl subscriptions create --id sub_7f3a --event orders/shipped --retry 5s \\
  --url http://127.0.0.1:9/
webhooksctl trigger orders/shipped --yes
until webhooksctl deliveries list --failed -o json | grep -q dlv_; do sleep 0.5; done
webhooksctl subscriptions update sub_7f3a --url http://127.0.0.1:9443/webhooks
"""

PREPARED: Mapping[str, str] = {
    "README.md": f"""{_FAILED}
name=$(webhooksctl deliveries list -o json | jq -r '.[0].name')
echo 'placeholder=$DELIVERY='"$name"
""",
    "docs/operations.md": _DELIVERY,
    "docs/webhooksctl.md": _FAILED,
}
"""
What is there before the commands of a document run, and the values of its placeholders.
"""

INSTALLED = """
export WEBHOOKSCTL_OWNER=accounts/100
webhooksctl subscriptions create --id sub_shop --event orders/shipped --version v1 \\
  --url https://example.com/webhooks
webhooksctl signing-keys create --id key_shop --name shop
SECRET=first webhooksctl credentials create --id crd_shop --name shop --method bearer \\
  --secret env:SECRET
webhooksctl certificates create --id crt_shop --name shop --certificate client.pem --key client.key
webhooksctl callers create --id oms1 --name oms --role publisher --owner accounts/100 \\
  --certificate-identity oms.internal
token=$(webhooksctl callers create --id partner --name partner --role reader \\
  --owner accounts/100 -o json | jq -r .token)
echo "placeholder=shwt_…=$token"
webhooksctl trigger orders/shipped --yes --set order.number=ORD-001
until webhooksctl attempts list -o json | grep -q attempts/; do sleep 0.2; done
"""
"""
What an installation has before its documents are run.
"""


def left_out(block: Block) -> str:
    """
    Return why a block is not run; nothing for one that is.
    """
    reasons = (why for what, why in NOT_RUN.items() if re.search(what, block.text, re.MULTILINE))
    return next(reasons, "")


def placeholders(said: str) -> dict[str, str]:
    """
    Return the values of placeholders that a preparation has written.
    """
    lines = (line.split("=", 2) for line in said.split("\n") if line.startswith("placeholder="))
    return {name: value for _, name, value in lines}
