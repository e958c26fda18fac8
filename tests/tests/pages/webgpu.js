// World: a test's web page.
// Reads a video by WebGPU; beside readers.js, whose frame numbers it uses.

const shader = `
@group(0) @binding(0) var film: texture_external;
@vertex fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
  return vec4f(f32(i % 2u) * 4.0 - 1.0, f32(i / 2u) * 4.0 - 1.0, 0.0, 1.0);
}
@fragment fn colour(@builtin(position) at: vec4f) -> @location(0) vec4f {
  return textureLoad(film, vec2u(at.xy));
}`;

let device, texture, pipeline;

export async function begin() {
  device = await (await navigator.gpu.requestAdapter()).requestDevice();
  const { COPY_SRC, COPY_DST, RENDER_ATTACHMENT } = GPUTextureUsage;
  texture = device.createTexture({ size: [WIDTH, HEIGHT], format: 'rgba8unorm', usage: COPY_SRC | COPY_DST | RENDER_ATTACHMENT });
  const module = device.createShaderModule({ code: shader });
  pipeline = device.createRenderPipeline({ layout: 'auto', vertex: { module }, fragment: { module, targets: [{ format: 'rgba8unorm' }] } });
  globalThis.gpu = { copyExternalImageToTexture, importExternalTexture };
}

/** What the texture's uppermost pixels show. */
async function read() {
  const buffer = device.createBuffer({ size: WIDTH * STRIP * 4, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow: WIDTH * 4 }, [WIDTH, STRIP]);
  device.queue.submit([encoder.finish()]);
  await buffer.mapAsync(GPUMapMode.READ);
  const pixels = new ImageData(new Uint8ClampedArray(buffer.getMappedRange().slice(0)), WIDTH, STRIP);
  return shown((context) => context.putImageData(pixels, 0, 0));
}

async function copyExternalImageToTexture() {
  try {
    device.queue.copyExternalImageToTexture({ source: video }, { texture }, [WIDTH, HEIGHT]);
  } catch (error) {
    return error.name;
  }
  return read();
}

async function importExternalTexture() {
  let film;
  try {
    film = device.importExternalTexture({ source: video });
  } catch (error) {
    return error.name;
  }
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginRenderPass({ colorAttachments: [{ view: texture.createView(), loadOp: 'clear', storeOp: 'store' }] });
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: film }] }));
  pass.draw(3);
  pass.end();
  device.queue.submit([encoder.finish()]);
  return read();
}
