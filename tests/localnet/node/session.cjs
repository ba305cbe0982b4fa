// A whole session by bolt-sdk and web3.js, unchanged, as existing clients play it. Prints one line of JSON.
// Arguments: HTTP endpoint, WebSocket endpoint, then the ids of session-state, hidden-state, input-buffer, frame-log,
// session-lifecycle, submit-input and a model key. The environment names ANCHOR_WALLET.
const { Connection, Keypair, PublicKey, LAMPORTS_PER_SOL, sendAndConfirmTransaction } = require("@solana/web3.js");
const { InitializeNewWorld, AddEntity, InitializeComponent, ApplySystem } = require("@magicblock-labs/bolt-sdk");

const [http, ws, ...ids] = process.argv.slice(2);
const [sessionState, hiddenState, inputBuffer, frameLog, lifecycle, submitInput, model] = ids.map((id) => new PublicKey(id));
// no wsEndpoint: web3.js itself takes the port behind HTTP's
const connection = new Connection(http, "confirmed");

async function main() {
  const [one, two] = [Keypair.generate(), Keypair.generate()];
  for (const player of [one, two]) {
    const signature = await connection.requestAirdrop(player.publicKey, 10 * LAMPORTS_PER_SOL);
    const latest = await connection.getLatestBlockhash();
    const { value } = await connection.confirmTransaction({ signature, ...latest }, "confirmed");
    if (value.err) throw new Error(JSON.stringify(value.err));
  }
  const send = (player, { transaction }) => sendAndConfirmTransaction(connection, transaction, [player]);

  const world = await InitializeNewWorld({ payer: one.publicKey, connection });
  await send(one, world);
  const entity = await AddEntity({ payer: one.publicKey, world: world.worldPda, connection });
  await send(one, entity);
  const pdas = [];
  for (const componentId of [sessionState, hiddenState, inputBuffer, frameLog]) {
    const component = await InitializeComponent({ payer: one.publicKey, entity: entity.entityPda, componentId });
    await send(one, component);
    pdas.push(component.componentPda);
  }

  const told = [];
  const subscription = connection.onAccountChange(pdas[0], (account) => told.push(account.data.readUInt8(8)), "confirmed");
  const apply = async (player, systemId, components, args) =>
    send(player, await ApplySystem({
      authority: player.publicKey,
      systemId,
      world: world.worldPda,
      entities: [{ entity: entity.entityPda, components: components.map((componentId) => ({ componentId })) }],
      args,
    }));
  const all = [sessionState, hiddenState, inputBuffer, frameLog];
  const none = PublicKey.default.toBase58();
  const args = (action, player, rest) => ({
    action, player: player.publicKey.toBase58(), character: 0, stage: 0, model: none, max_frames: 0, seed: 0,
    d_inner: 0, d_state: 0, num_layers: 0, ...rest,
  });
  const statuses = [];
  const status = async () => statuses.push((await connection.getAccountInfo(pdas[0])).data.readUInt8(8));

  await apply(one, lifecycle, all, args(0, one, {
    character: 2, stage: 32, model: model.toBase58(), max_frames: 28800, seed: Date.now(), d_inner: 768, d_state: 64, num_layers: 4,
  }));
  await status();
  await apply(two, lifecycle, all, args(1, two, { character: 9 }));
  await status();
  await apply(one, submitInput, [sessionState, inputBuffer], {
    player: one.publicKey.toBase58(), stick_x: 80, stick_y: -80, c_stick_x: 1, c_stick_y: -1, trigger_l: 200,
    trigger_r: 0, buttons: 1, buttons_ext: 4,
  });
  const buffer = (await connection.getAccountInfo(pdas[2])).data;
  await apply(one, lifecycle, all, args(2, one, {}));
  await status();

  for (let i = 0; i < 100 && told.at(-1) !== 3; i++) await new Promise((done) => setTimeout(done, 20));
  await connection.removeAccountChangeListener(subscription);

  // what a failing transaction looks like to these clients
  let refusal = null;
  try {
    await apply(two, lifecycle, all, args(1, two, {}));
  } catch (error) {
    refusal = { name: error.constructor.name, message: error.transactionMessage ?? error.message, logs: error.logs?.length ?? 0 };
  }
  console.log(JSON.stringify({
    session: pdas[0].toBase58(), statuses, told, refusal, input: buffer.subarray(12, 20).toString("hex"), ready: buffer[28],
  }));
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
