"""Five parties send random sequences of every instruction, and a ledger knows who owns each lamport.

The ledger never reads what the programs write about owners. It watches balances: what leaves a wallet for an account
stays that party's claim on the account, and only that party's wallet may get it back. The one exception is the price of
a frame, which player 1 promised to the writer. `play` runs one sequence from a seed, then closes everything, and raises
TheftError or StrandedError where a party ends with another's lamports or cannot get its own back.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction
from solders.transaction_metadata import TransactionMetadata
from svm.rig import CARTRIDGE, COMPONENTS, MODEL, SOL, Chain, Session

from awm_crank.wire import bolt, deposits, ids, layouts, programs, rollup
from awm_crank.wire.accounts import LogPayments
from awm_crank.wire.idl import load

PARTIES = ("player1", "player2", "writer", "stranger", "validator")
PRICE = 5_000
FEES = ("deposit_draw", "deposit_close")
NAMES = {program: name for name, program in ids.PROGRAMS.items()}
CREATED, WAITING, ACTIVE, ENDED = range(4)
_OWN = {ids.SESSION_STATE: layouts.SESSION_STATE, ids.HIDDEN_STATE: layouts.HIDDEN_STATE,
        ids.INPUT_BUFFER: layouts.INPUT_BUFFER, ids.FRAME_LOG: layouts.FRAME_LOG}  # fmt: skip


class TheftError(AssertionError):
    """A wallet got lamports that belong to another party."""


class StrandedError(AssertionError):
    """Lamports that their owner cannot get back."""


class Ledger:
    """Tracks which party owns which lamports in each account."""

    def __init__(self, chain: Chain, wallets: dict[str, Pubkey], accounts: list[Pubkey]) -> None:
        self._chain, self.wallets, self.accounts = chain, wallets, accounts
        self.claims: dict[Pubkey, Counter[str]] = {account: Counter() for account in accounts}
        self.fees = 0
        self.start = {name: chain.lamports(key) for name, key in wallets.items()}

    def balances(self) -> dict[Pubkey, int]:
        """The lamports of all wallets and accounts."""
        return {key: self._chain.lamports(key) for key in (*self.wallets.values(), *self.accounts)}

    def took_place(self, name: str, before: dict[Pubkey, int]) -> None:
        """Records what an instruction did. Raises TheftError."""
        change = {key: now - before[key] for key, now in self.balances().items()}
        lost = Counter({name: -change[key] for name, key in self.wallets.items() if change[key] < 0})
        shrunk = {key: -change[key] for key in self.accounts if change[key] < 0}
        for party, key in self.wallets.items():
            gain = max(change[key], 0)
            for account in shrunk:
                owners = (party, "player1") if name in FEES and party == "writer" else (party,)
                for owner in owners:
                    part = min(gain, shrunk[account], self.claims[account][owner])
                    self.claims[account][owner] -= part
                    shrunk[account] -= part
                    gain -= part
                    self.fees += part if owner != party else 0
            part = min(gain, lost[party])
            lost[party] -= part
            if gain - part:
                raise TheftError(f"{name}: {party} got {gain - part} lamports that were not its own")
        for account, rest in shrunk.items():
            # from the deposit into other accounts of the match: player 1's both before and after
            part = min(rest, self.claims[account]["player1"])
            self.claims[account]["player1"] -= part
            lost["player1"] += part
            if rest - part:
                raise TheftError(f"{name}: {rest - part} lamports left an account, and no owner lost them")
        for account in self.accounts:
            gain = max(change[account], 0)
            for party in PARTIES:
                part = min(gain, lost[party])
                lost[party] -= part
                self.claims[account][party] += part
                gain -= part
            if gain:
                raise TheftError(f"{name}: {gain} lamports came from nowhere")


class Sequence:
    """One match on its own entity, and the instructions that five parties may try."""

    def __init__(self, chain: Chain, number: int, seed: int) -> None:
        self.chain, self.random = chain, random.Random(seed)
        self.keys = {name: chain.key(1000 + 10 * number + i, 1000 * SOL) for i, name in enumerate(PARTIES)}
        world = chain.new_world()
        entity = chain.new_entity(world)
        k = self.keys
        self.match = Session(chain, world, entity, k["player1"], k["player2"], k["writer"])
        self.entity, self.epoch = entity, 0
        chain.publish(MODEL, CARTRIDGE, extra_size=self.random.choice((0, 0, 12)))
        accounts = [self.match.at(program) for program in COMPONENTS]
        accounts += [programs.receipt_pda(program, entity) for program in COMPONENTS]
        accounts += [programs.checkpoint_pda(entity, side) for side in (0, 1)] + [deposits.deposit_pda(entity)]
        for at in accounts[:4]:
            for seed_ in (b"delegation", b"delegation-metadata"):
                accounts.append(Pubkey.find_program_address([seed_, bytes(at)], ids.DELEGATION)[0])
        self.ledger = Ledger(chain, {name: pair.pubkey() for name, pair in self.keys.items()}, accounts)
        self.log: list[str] = []
        self.accepted: Counter[str] = Counter()

    # -- what is tried --------------------------------------------------------------------------------------------

    def try_(self, name: str, ix: Instruction, *signers: str) -> bool:
        """Sends an instruction, and records it if it was accepted."""
        before = self.ledger.balances()
        result = self.chain.send(ix, signers=[self.keys[signer] for signer in signers])
        accepted = isinstance(result, TransactionMetadata)
        self.log.append(f"{name} by {','.join(signers)}: {'ok' if accepted else 'refused'}")
        if accepted:
            self.accepted[name] += 1
            self.ledger.took_place(name, before)
        return accepted

    def party(self, likely: str) -> str:
        """Usually the party that should act, and sometimes another."""
        return likely if self.random.random() < 0.7 else self.random.choice(PARTIES)

    def key(self, likely: str) -> Pubkey:
        """The key of a party that is chosen like that."""
        return self.keys[self.party(likely)].pubkey()

    def lifecycle(self, action: int, who: str) -> None:
        """A CREATE, JOIN or END."""
        pick = self.random.choice
        fields: dict[str, Any] = {"writer": self.key("writer"), "challenge_s": pick((0, 300)), "character": 1 + action}
        fields["invited"] = pick((ids.ZERO_KEY, self.keys["player2"].pubkey()))
        self.try_(("create", "join", "end")[action], self.match.lifecycle(action, self.keys[who], **fields), who)

    def frame(self) -> None:
        """Sends the next frame, signed by the writer or by another party."""
        hidden = self.match.data(ids.HIDDEN_STATE)
        if len(hidden) >= layouts.HIDDEN_STATE.size and len(self.match.data(ids.INPUT_BUFFER)) > 30:
            self.match.epoch = struct.unpack_from("<I", hidden, 86)[0]
            who = self.party("writer")
            self.try_("frame", self.match.inference(signer=self.keys[who]), who)

    def give(self) -> None:
        """Player 1 adds lamports to an account of its own, such as a rollup's deposit, or by mistake."""
        program = self.random.choice(COMPONENTS)
        if self.chain.data(self.match.at(program)) and self.owner(program) == self.keys["player1"].pubkey():
            ix = transfer(TransferParams(from_pubkey=self.keys["player1"].pubkey(), to_pubkey=self.match.at(program),
                                         lamports=self.random.randrange(1, SOL)))  # fmt: skip
            self.try_("give", ix, "player1")

    def owner(self, program: Pubkey) -> Pubkey:
        """The key that a component or its receipt names as its payer."""
        receipt = self.chain.data(programs.receipt_pda(program, self.entity))
        data = receipt or self.match.data(program)
        if not data:
            return ids.ZERO_KEY
        if program == ids.FRAME_LOG and not receipt:
            return LogPayments.decode(data[-layouts.LOG_PAYMENTS.size :]).payer
        return Pubkey.from_bytes((layouts.RECEIPT if receipt else _OWN[program]).cut(data, "payer"))

    def delegated(self) -> list[Pubkey]:
        """The components that are in the rollup."""
        found = [(program, self.chain.svm.get_account(self.match.at(program))) for program in COMPONENTS]
        return [program for program, account in found if account is not None and account.owner == ids.DELEGATION]

    def comes_back(self, *, forged: bool) -> None:
        """The validator returns a component, unchanged or with any bytes it likes.

        The test plays the delegation program's part: the buffer's signature, and the lamports, which all return to the
        account that they were in.
        """
        for program in self.delegated()[: 1 if forged else None]:
            at = self.match.at(program)
            original, lamports = self.chain.data(at), self.chain.lamports(at)
            data = bytearray(original)
            if forged:
                self.forge(program, data)
            buffer = Pubkey.find_program_address([b"undelegate-buffer", bytes(at)], ids.DELEGATION)[0]
            svm, validator = self.chain.svm, self.keys["validator"].pubkey()
            svm.set_account(buffer, Account(SOL, bytes(data), ids.DELEGATION))
            svm.set_account(at, Account(0, b"", ids.SYSTEM_PROGRAM))
            seeds = struct.pack("<II", 1, 32) + bytes(self.entity)
            discriminator = load(NAMES[program]).instructions["process_undelegation"].discriminator
            metas = [AccountMeta(at, False, True), AccountMeta(buffer, True, True), AccountMeta(validator, True, True)]
            metas.append(AccountMeta(ids.SYSTEM_PROGRAM, False, False))
            paid = self.chain.lamports(validator)
            result = unsigned(self.chain, Instruction(program, discriminator + seeds, metas))
            account = svm.get_account(at)
            if account is None or account.owner != program:
                raise StrandedError(f"{NAMES[program]} cannot come back: {result}")
            if bytes(account.data) != bytes(data):
                # the delegation program demands what the rollup committed, so the transaction fails
                if not forged:
                    raise StrandedError(f"{NAMES[program]} cannot come back: it was changed on the way")
                svm.set_account(at, Account(lamports, original, ids.DELEGATION))
                svm.set_account(validator, Account(paid, b"", ids.SYSTEM_PROGRAM))
                svm.set_account(buffer, Account(0, b"", ids.SYSTEM_PROGRAM))
                self.accepted["forged, so it stays"] += 1
                continue
            svm.set_account(at, Account(lamports, bytes(account.data), program))
            svm.set_account(validator, Account(paid, b"", ids.SYSTEM_PROGRAM))
            svm.set_account(buffer, Account(0, b"", ids.SYSTEM_PROGRAM))
            for seed in (b"delegation", b"delegation-metadata"):
                record = Pubkey.find_program_address([seed, bytes(at)], ids.DELEGATION)[0]
                rent, player = self.chain.lamports(record), self.keys["player1"].pubkey()
                svm.set_account(record, Account(0, b"", ids.SYSTEM_PROGRAM))
                svm.set_account(player, Account(self.chain.lamports(player) + rent, b"", ids.SYSTEM_PROGRAM))
                self.ledger.claims[record].clear()
            self.log.append(f"{NAMES[program]} comes back{' forged' if forged else ''}")
            self.accepted["comes back forged" if forged else "comes back"] += 1

    def forge(self, program: Pubkey, data: bytearray) -> None:
        """Sends other values in fields on which the ownership of lamports could depend."""
        layout, mine = _OWN[program], bytes(self.keys["validator"].pubkey())
        values = {"payer": mine, "bolt_metadata": mine,
                  "writer": mine, "player1": mine, "player2": mine, "status": bytes([self.random.randrange(256)]),
                  "last_update": (2**62).to_bytes(8, "little"), "challenge_s": b"\xff\xff", "holds": b"\xff",
                  "capacity": b"\x01\x00", "frame": b"\xff\xff\xff\x7f", "cartridge_hash": mine,
                  "session": mine, "invited": mine}  # fmt: skip
        for name, value in values.items():
            if name in layout.fields and layout.span(name).size == len(value) and self.random.random() < 0.2:
                at = layout.offset(name)
                data[at : at + len(value)] = value
        if program == ids.FRAME_LOG and self.random.random() < 0.5:
            payments = LogPayments(Pubkey.from_bytes(mine), Pubkey.from_bytes(mine), SOL).encode()
            data[-len(payments) :] = payments

    def actions(self) -> dict[str, Callable[[], object]]:
        """Everything that can be tried, by name."""
        pick, e, k = self.random.choice, self.entity, {name: pair.pubkey() for name, pair in self.keys.items()}

        def act(name: str, likely: str, build: Callable[[Pubkey], Instruction]) -> Callable[[], object]:
            def run() -> None:
                who = self.party(likely)
                self.try_(name, build(k[who]), who)

            return run

        def initialize() -> None:
            who, program = self.party("player1"), pick(COMPONENTS)
            self.try_("initialize", bolt.initialize_component(k[who], e, program), who)

        def destroy() -> None:
            program, who = pick(COMPONENTS), pick(PARTIES)
            table = struct.pack("<IQ", 3, 0) + b"\1" + bytes(k[who])
            self.chain.put(bolt.program_data_pda(program), table, ids.UPGRADEABLE_LOADER)
            self.try_("destroy", bolt.destroy_component(k[who], self.key("player1"), e, program), who)

        closings = (programs.close_hidden_state, programs.close_frame_log, programs.close_input_buffer,
                    programs.close_session_state)  # fmt: skip
        size = pick((100, 12_000))
        return {
            "initialize": initialize,
            "destroy": destroy,
            "create": lambda: self.lifecycle(0, self.party("player1")),
            "join": lambda: self.lifecycle(1, self.party("player2")),
            "end": lambda: self.lifecycle(2, self.party("player1")),
            "frame": self.frame,
            "give": self.give,
            "back": lambda: self.comes_back(forged=pick((True, False))),
            "warp": lambda: self.chain.warp(pick((1, 300, 900, 700_000))),
            "bind": act("bind_writer", "writer", lambda key: programs.bind_writer(key, e)),
            "pin": act("pin_cartridge", "writer", lambda key: programs.pin_cartridge(key, e, MODEL)),
            "claim": act("claim", "writer", lambda key: programs.claim(key, e, 0)),
            "ring_grow": act("ring_grow", "writer", lambda key: programs.ring_grow(key, e, 256)),
            "ring_shrink": act("ring_shrink", "player2", lambda key: programs.ring_shrink(key, e, self.key("writer"))),
            "checkpoint_create": act(
                "checkpoint_create", "writer", lambda key: programs.checkpoint_create(key, e, pick((0, 1)), size)
            ),
            "checkpoint_grow": act("grow", "writer", lambda key: programs.checkpoint_grow(key, e, pick((0, 1)))),
            "checkpoint_close": act(
                "checkpoint_close", "player2",
                lambda key: programs.checkpoint_close(key, e, pick((0, 1)), self.key(pick(("writer", "player1")))),
            ),
            "deposit": act(
                "deposit", "player1", lambda key: deposits.deposit(key, e, pick((1, 3 * PRICE, SOL)), PRICE)
            ),
            "deposited": act(
                "checkpoint_create_deposited", "writer",
                lambda key: deposits.checkpoint_create_deposited(key, e, pick((0, 1)), size),
            ),
            "ring_fund": act("ring_fund", "writer", lambda key: deposits.ring_fund(key, e, 256)),
            "draw": act("deposit_draw", "writer", lambda key: deposits.deposit_draw(key, e)),
            "deposit_close": act(
                "deposit_close", "stranger",
                lambda key: deposits.deposit_close(key, e, self.key("player1"), self.key("writer")),
            ),
            "close": act("close", "player1", lambda key: pick(closings)(key, e, self.key("player1"))),
            "delegate": act(
                "delegate", "player1", lambda key: rollup.delegate(key, e, pick(COMPONENTS), k["validator"])
            ),
        }  # fmt: skip

    def run(self, steps: int) -> None:
        """Takes this many random steps, most of them after an honest beginning."""
        k = self.keys["player1"].pubkey()
        if self.random.random() < 0.9:
            for program in COMPONENTS:
                self.try_("initialize", bolt.initialize_component(k, self.entity, program), "player1")
        if self.random.random() < 0.8:
            self.lifecycle(0, "player1")
        if self.random.random() < 0.4:
            for name in ("deposit", "pin", "ring_grow", "ring_grow", "ring_grow", "join", "frame", "frame"):
                self.actions()[name]()
        for _ in range(steps):
            self.random.choice(list(self.actions().values()))()

    # -- the end --------------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Returns to each party what belongs to it, through a stranger wherever possible. Raises StrandedError."""
        e, stranger = self.entity, self.keys["stranger"].pubkey()
        self.comes_back(forged=False)
        status = (self.match.data(ids.SESSION_STATE) or bytes(9))[8]
        if status in (WAITING, ACTIVE):
            self.chain.warp(604_800)
            for program in COMPONENTS:
                if not self.match.data(program):
                    # END needs all four accounts, so the party that cleans up lends what is missing
                    self.try_("initialize", bolt.initialize_component(stranger, e, program), "stranger")
            self.try_("end", self.match.lifecycle(2, self.keys["stranger"]), "stranger")
        self.chain.warp(70_000)
        for side in (0, 1):
            if data := self.chain.data(programs.checkpoint_pda(e, side)):
                payer = Pubkey.from_bytes(layouts.CHECKPOINT.cut(data, "payer"))
                self.try_("checkpoint_close", programs.checkpoint_close(stranger, e, side, payer), "stranger")
        hidden = self.match.data(ids.HIDDEN_STATE)
        if data := self.chain.data(deposits.deposit_pda(e)):
            owner = Pubkey.from_bytes(layouts.DEPOSIT.cut(data, "depositor"))
            writer = Pubkey.from_bytes(layouts.HIDDEN_STATE.cut(hidden, "writer"))
            self.try_("deposit_close", deposits.deposit_close(stranger, e, owner, writer), "stranger")
        if data := self.match.data(ids.FRAME_LOG):
            payer = LogPayments.decode(data[-layouts.LOG_PAYMENTS.size :]).ring_payer
            payer = stranger if payer == ids.ZERO_KEY else payer
            self.try_("ring_shrink", programs.ring_shrink(stranger, e, payer), "stranger")
        for program, closing in (
            (ids.FRAME_LOG, programs.close_frame_log), (ids.INPUT_BUFFER, programs.close_input_buffer),
            (ids.HIDDEN_STATE, programs.close_hidden_state), (ids.SESSION_STATE, programs.close_session_state),
        ):  # fmt: skip
            if not self.match.data(program):
                continue
            payer = self.owner(program)
            names = {pair.pubkey(): name for name, pair in self.keys.items()}
            by = "stranger" if self.match.data(ids.SESSION_STATE)[8:9] == bytes([ENDED]) else names[payer]
            self.try_("close", closing(self.keys[by].pubkey(), e, payer), by)
        left = {str(key): self.chain.lamports(key) for key in self.ledger.accounts if self.chain.lamports(key)}
        if left:
            raise StrandedError(f"left behind: {left}")
        for name, key in self.ledger.wallets.items():
            fee = {"player1": -self.ledger.fees, "writer": self.ledger.fees}.get(name, 0)
            difference = self.chain.lamports(key) - self.ledger.start[name] - fee
            if difference:
                raise TheftError(f"{name} ends with {difference:+} lamports")


def unsigned(chain: Chain, ix: Instruction) -> object:
    """Sends a transaction whose signatures nobody checks, as a program would sign with its seeds."""
    message = Message.new_with_blockhash([ix], chain.payer.pubkey(), chain.svm.latest_blockhash())
    count = message.header.num_required_signatures
    transaction = Transaction.populate(message, [Signature.new_unique() for _ in range(count)])
    return chain.svm.send_transaction(transaction)


def new_chain(with_delegation: Callable[[Chain], None]) -> Chain:
    """A chain that accepts transactions without checking signatures, so that the test can sign for a program's address.

    The programs still check whether a party signs, since they see which accounts are marked as signers.
    """
    chain = Chain()
    chain.svm.with_sigverify(False)
    with_delegation(chain)
    chain.publish(MODEL, CARTRIDGE)
    return chain


def play(chain: Chain, number: int, seed: int, steps: int = 40) -> Sequence:
    """Plays one sequence. Raises TheftError or StrandedError, with the steps that led there."""
    sequence = Sequence(chain, number, seed)
    try:
        sequence.run(steps)
        sequence.recover()
    except (TheftError, StrandedError) as error:
        raise type(error)(f"seed {seed}: {error}\n" + "\n".join(sequence.log)) from None
    return sequence
