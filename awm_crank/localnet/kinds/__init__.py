"""Localnets of the validators that operators run. One command starts, watches, logs and stops each.

| kind         | what runs                                                                                  |
| ------------ | ------------------------------------------------------------------------------------------ |
| `embedded`   | LiteSVM behind RPC (`awm_crank/localnet/server.py`); the default; not in this package      |
| `magicblock` | MagicBlock's validator 0.1.7 as a chain of its own (`offline`)                             |
| `solana`     | solana-test-validator, from PATH or from the file that is named                            |
| `rollup`     | MagicBlock's ephemeral validator 0.8.3 on a base chain, embedded or solana                 |

The first start fetches MagicBlock's binaries from npm into a cache folder (docs/localnets.md).
"""
