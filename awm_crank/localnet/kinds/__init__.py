"""Localnets of the validators that operators run, each started, awaited, logged and stopped by one command.

| kind         | what runs                                                                                  |
| ------------ | ------------------------------------------------------------------------------------------ |
| `embedded`   | LiteSVM behind RPC (`awm_crank/localnet/server.py`); the default, and not of this package  |
| `magicblock` | MagicBlock's validator 0.1.7 as a chain of its own (`offline`)                             |
| `solana`     | solana-test-validator, from PATH or the file named                                         |
| `rollup`     | MagicBlock's ephemeral validator 0.8.3 on a base chain, embedded or solana                 |

MagicBlock's binaries come from npm, at the first start, into a cache folder (docs/localnets.md).
"""
