/* Every account layout of docs/formats.md. Offsets count from the start of the account, discriminator included.
 * AT(struct, field, offset, size) asserts a field's place; tests compare these lines with the docs and the codecs.
 * Fields are reached as p + OFF(struct, field) with ld/st, never through the packed struct. */
#pragma once
#include "sbf.h"

#define PACKED __attribute__((packed))
#define OFF(T, f) __builtin_offsetof(T, f)
#define AT(T, f, offset, size) \
    _Static_assert(OFF(T, f) == (offset) && sizeof(((T *)0)->f) == (size), #T "." #f)
#define SIZE(T, size) _Static_assert(sizeof(T) == (size), #T)

typedef struct PACKED {
    i32 x, y;
    u16 percent, shield_strength;
    i16 speed_air_x, speed_y, speed_ground_x, speed_attack_x, speed_attack_y;
    u16 state_age;
    u8 hitlag, stocks, facing, on_ground;
    u16 action_state;
    u8 jumps_left, character;
} PlayerState;
AT(PlayerState, x, 0, 4);
AT(PlayerState, y, 4, 4);
AT(PlayerState, percent, 8, 2);
AT(PlayerState, shield_strength, 10, 2);
AT(PlayerState, speed_air_x, 12, 2);
AT(PlayerState, speed_y, 14, 2);
AT(PlayerState, speed_ground_x, 16, 2);
AT(PlayerState, speed_attack_x, 18, 2);
AT(PlayerState, speed_attack_y, 20, 2);
AT(PlayerState, state_age, 22, 2);
AT(PlayerState, hitlag, 24, 1);
AT(PlayerState, stocks, 25, 1);
AT(PlayerState, facing, 26, 1);
AT(PlayerState, on_ground, 27, 1);
AT(PlayerState, action_state, 28, 2);
AT(PlayerState, jumps_left, 30, 1);
AT(PlayerState, character, 31, 1);
SIZE(PlayerState, 32);

typedef struct PACKED {
    i8 stick_x, stick_y, c_stick_x, c_stick_y;
    u8 trigger_l, trigger_r, buttons, buttons_ext;
} ControllerInput;
AT(ControllerInput, stick_x, 0, 1);
AT(ControllerInput, stick_y, 1, 1);
AT(ControllerInput, c_stick_x, 2, 1);
AT(ControllerInput, c_stick_y, 3, 1);
AT(ControllerInput, trigger_l, 4, 1);
AT(ControllerInput, trigger_r, 5, 1);
AT(ControllerInput, buttons, 6, 1);
AT(ControllerInput, buttons_ext, 7, 1);
SIZE(ControllerInput, 8);

typedef struct PACKED {
    u8 percent_frac, invulnerable, combo_count, l_cancel, hurtbox, ground, last_attack, reserved;
} Feedback;
AT(Feedback, percent_frac, 0, 1);
AT(Feedback, invulnerable, 1, 1);
AT(Feedback, combo_count, 2, 1);
AT(Feedback, l_cancel, 3, 1);
AT(Feedback, hurtbox, 4, 1);
AT(Feedback, ground, 5, 1);
AT(Feedback, last_attack, 6, 1);
AT(Feedback, reserved, 7, 1);
SIZE(Feedback, 8);

typedef struct PACKED {
    u8 discriminator[8];
    u8 status;
    u32 frame, max_frames;
    u8 player1[32], player2[32], stage;
    PlayerState players[2];
    u8 model[32];
    i64 created_at, last_update;
    u64 seed;
    u8 entity[32], authority[32];
} SessionState;
AT(SessionState, discriminator, 0, 8);
AT(SessionState, status, 8, 1);
AT(SessionState, frame, 9, 4);
AT(SessionState, max_frames, 13, 4);
AT(SessionState, player1, 17, 32);
AT(SessionState, player2, 49, 32);
AT(SessionState, stage, 81, 1);
AT(SessionState, players, 82, 64);
AT(SessionState, model, 146, 32);
AT(SessionState, created_at, 178, 8);
AT(SessionState, last_update, 186, 8);
AT(SessionState, seed, 194, 8);
AT(SessionState, entity, 202, 32);
AT(SessionState, authority, 234, 32);
SIZE(SessionState, 266);

enum Status { STATUS_CREATED, STATUS_WAITING, STATUS_ACTIVE, STATUS_ENDED };

typedef struct PACKED {
    u8 discriminator[8];
    u8 num_layers;
    u16 d_inner, d_state;
    u32 data_size, frame;
    u8 initialized, entity[32], writer[32];
    u32 epoch;
    u8 chain_hash[32];
    Feedback feedback[2];
    u32 checkpoint_frame;
    u8 checkpoint_hash[32], checkpoint_slot, authority[32];
} HiddenState;
AT(HiddenState, discriminator, 0, 8);
AT(HiddenState, num_layers, 8, 1);
AT(HiddenState, d_inner, 9, 2);
AT(HiddenState, d_state, 11, 2);
AT(HiddenState, data_size, 13, 4);
AT(HiddenState, frame, 17, 4);
AT(HiddenState, initialized, 21, 1);
AT(HiddenState, entity, 22, 32);
AT(HiddenState, writer, 54, 32);
AT(HiddenState, epoch, 86, 4);
AT(HiddenState, chain_hash, 90, 32);
AT(HiddenState, feedback, 122, 16);
AT(HiddenState, checkpoint_frame, 138, 4);
AT(HiddenState, checkpoint_hash, 142, 32);
AT(HiddenState, checkpoint_slot, 174, 1);
AT(HiddenState, authority, 175, 32);
SIZE(HiddenState, 207);

typedef struct PACKED {
    u8 discriminator[8];
    u32 frame;
    ControllerInput player1, player2;
    u8 p1_ready, p2_ready, entity[32];
    ControllerInput next_player1, next_player2;
    u8 next_p1_ready, next_p2_ready, authority[32];
} InputBuffer;
AT(InputBuffer, discriminator, 0, 8);
AT(InputBuffer, frame, 8, 4);
AT(InputBuffer, player1, 12, 8);
AT(InputBuffer, player2, 20, 8);
AT(InputBuffer, p1_ready, 28, 1);
AT(InputBuffer, p2_ready, 29, 1);
AT(InputBuffer, entity, 30, 32);
AT(InputBuffer, next_player1, 62, 8);
AT(InputBuffer, next_player2, 70, 8);
AT(InputBuffer, next_p1_ready, 78, 1);
AT(InputBuffer, next_p2_ready, 79, 1);
AT(InputBuffer, authority, 80, 32);
SIZE(InputBuffer, 112);

typedef struct PACKED {
    u8 discriminator[8];
    u16 write_index;
    u32 total_frames;
    u8 session[32], entity[32];
    u16 capacity;
    u8 authority[32];
} FrameLog;
AT(FrameLog, discriminator, 0, 8);
AT(FrameLog, write_index, 8, 2);
AT(FrameLog, total_frames, 10, 4);
AT(FrameLog, session, 14, 32);
AT(FrameLog, entity, 46, 32);
AT(FrameLog, capacity, 78, 2);
AT(FrameLog, authority, 80, 32);
SIZE(FrameLog, 112);

typedef struct PACKED {
    u32 frame;
    ControllerInput inputs[2];
    u8 sources[2], stage, reserved;
    PlayerState players[2];
    u8 chain_hash[8];
} FrameRecord;
AT(FrameRecord, frame, 0, 4);
AT(FrameRecord, inputs, 4, 16);
AT(FrameRecord, sources, 20, 2);
AT(FrameRecord, stage, 22, 1);
AT(FrameRecord, reserved, 23, 1);
AT(FrameRecord, players, 24, 64);
AT(FrameRecord, chain_hash, 88, 8);
SIZE(FrameRecord, 96);

#define RING_OFFSET sizeof(FrameLog)
#define RING_MIN_CAPACITY 256

enum Source { SOURCE_FRESH, SOURCE_HELD, SOURCE_NEUTRAL };

typedef struct PACKED {
    u8 discriminator[8], name[32];
    u16 version, d_model, d_inner, d_state;
    u8 num_layers, num_heads, num_shards, shard_keys[4][32];
    u32 shard_sizes[4];
    u16 layer_input_scales[16], layer_output_scales[16];
    u8 luts[1024], num_continuous;
    u16 num_action_states;
    u8 num_binary;
    u16 input_size;
    u8 authority[32], ready;
    u32 total_params, total_weight_bytes;
    u8 entity[32], cartridge_hash[32], parent[32];
    u16 format_version;
    u8 metadata_authority[32];
} ModelManifest;
AT(ModelManifest, discriminator, 0, 8);
AT(ModelManifest, name, 8, 32);
AT(ModelManifest, version, 40, 2);
AT(ModelManifest, d_model, 42, 2);
AT(ModelManifest, d_inner, 44, 2);
AT(ModelManifest, d_state, 46, 2);
AT(ModelManifest, num_layers, 48, 1);
AT(ModelManifest, num_heads, 49, 1);
AT(ModelManifest, num_shards, 50, 1);
AT(ModelManifest, shard_keys, 51, 128);
AT(ModelManifest, shard_sizes, 179, 16);
AT(ModelManifest, layer_input_scales, 195, 32);
AT(ModelManifest, layer_output_scales, 227, 32);
AT(ModelManifest, luts, 259, 1024);
AT(ModelManifest, num_continuous, 1283, 1);
AT(ModelManifest, num_action_states, 1284, 2);
AT(ModelManifest, num_binary, 1286, 1);
AT(ModelManifest, input_size, 1287, 2);
AT(ModelManifest, authority, 1289, 32);
AT(ModelManifest, ready, 1321, 1);
AT(ModelManifest, total_params, 1322, 4);
AT(ModelManifest, total_weight_bytes, 1326, 4);
AT(ModelManifest, entity, 1330, 32);
AT(ModelManifest, cartridge_hash, 1362, 32);
AT(ModelManifest, parent, 1394, 32);
AT(ModelManifest, format_version, 1426, 2);
AT(ModelManifest, metadata_authority, 1428, 32);
SIZE(ModelManifest, 1460);

typedef struct PACKED {
    u8 discriminator[8], shard_index;
    u32 data_size;
    u8 authority[32], finalized, data_hash[32], entity[32], merkle_root[32];
    u16 leaves_hashed;
    u8 frontier[8][32], metadata_authority[32];
} WeightShard;
AT(WeightShard, discriminator, 0, 8);
AT(WeightShard, shard_index, 8, 1);
AT(WeightShard, data_size, 9, 4);
AT(WeightShard, authority, 13, 32);
AT(WeightShard, finalized, 45, 1);
AT(WeightShard, data_hash, 46, 32);
AT(WeightShard, entity, 78, 32);
AT(WeightShard, merkle_root, 110, 32);
AT(WeightShard, leaves_hashed, 142, 2);
AT(WeightShard, frontier, 144, 256);
AT(WeightShard, metadata_authority, 400, 32);
SIZE(WeightShard, 432);

#define LEAF_BYTES 65536
#define MAX_ACCOUNT_BYTES 10485760
#define MAX_HASHED_BYTES 2700000 /* what one transaction can hash */

typedef struct PACKED {
    u8 discriminator[8], entity[32], slot, finalized, reserved[2];
    u32 data_size;
    u8 data_hash[32];
    u32 frame;
    ControllerInput inputs[2];
    PlayerState players[2];
    Feedback feedback[2];
    u8 chain_hash[32], reserved2[4];
} Checkpoint;
AT(Checkpoint, discriminator, 0, 8);
AT(Checkpoint, entity, 8, 32);
AT(Checkpoint, slot, 40, 1);
AT(Checkpoint, finalized, 41, 1);
AT(Checkpoint, reserved, 42, 2);
AT(Checkpoint, data_size, 44, 4);
AT(Checkpoint, data_hash, 48, 32);
AT(Checkpoint, frame, 80, 4);
AT(Checkpoint, inputs, 84, 16);
AT(Checkpoint, players, 100, 64);
AT(Checkpoint, feedback, 164, 16);
AT(Checkpoint, chain_hash, 180, 32);
AT(Checkpoint, reserved2, 212, 4);
SIZE(Checkpoint, 216);
