"""The JSON-RPC methods of the HTTP endpoint: params in, results as JSON text out."""

from __future__ import annotations

from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from .account_methods import AccountMethods
from .bank import Bank
from .chain_methods import ChainMethods
from .cluster_methods import ClusterMethods
from .jsonrpc import Handler
from .method_group import MethodGroup
from .pubsub import Topics
from .schema import checked
from .token_methods import TokenMethods
from .transaction_methods import FAUCET_LAMPORTS, TransactionMethods


class Methods:
    """All methods over one bank, by their RPC name.

    Args:
        topics: notified of every transaction that lands.
        identity: the key that getIdentity and getSlotLeader name.
        faucet: pays for airdrops. It gets its lamports here.
    """

    def __init__(self, bank: Bank, topics: Topics, *, identity: Keypair, faucet: Keypair) -> None:
        bank.svm.set_account(faucet.pubkey(), Account(FAUCET_LAMPORTS, b"", Pubkey.default()))
        self.transactions = TransactionMethods(bank, identity, topics, faucet)
        groups = (
            AccountMethods(bank, identity),
            TokenMethods(bank, identity),
            ChainMethods(bank, identity),
            ClusterMethods(bank, identity),
            self.transactions,
        )
        self.table: dict[str, Handler] = {
            name: checked(name, handler) for group in groups for name, handler in _handlers(group)
        }


def _handlers(group: MethodGroup) -> list[tuple[str, Handler]]:
    """`get_epoch_info` as `getEpochInfo`, and so on."""
    return [
        (name[0] + "".join(part.capitalize() for part in name.split("_"))[1:], getattr(group, name))
        for name in vars(type(group))
        if not name.startswith("_")
    ]
