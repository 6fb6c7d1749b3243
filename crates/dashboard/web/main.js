// Puts the parts together: starts each, and hands each the latest snapshot once a frame at most.

import { startByHand } from './byhand.js';
import * as commands from './commands.js';
import * as drawer from './drawer.js';
import * as groups from './groups.js';
import * as letters from './letters.js';
import * as orders from './orders.js';
import * as pipeline from './pipeline.js';
import * as place from './place.js';
import * as rebalances from './rebalances.js';
import * as services from './services.js';
import * as status from './status.js';
import * as stock from './stock.js';
import * as stream from './stream.js';
import * as topics from './topics.js';

startByHand();
for (const part of [status, pipeline, services, place, orders, groups, drawer]) part.start();
stream.onSnapshot(commands.knows);
for (const part of [status, pipeline, services, place, orders, topics, groups, rebalances, letters, stock, drawer]) stream.onSnapshot(part.render);
// Until all of it is there, none of it is shown: nothing jumps.
stream.onSnapshot(() => document.body.classList.remove('waiting'));
stream.start();
