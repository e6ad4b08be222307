/** Loaded into each proxy of the demo: ends it when its starter is gone, however that went. */
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
