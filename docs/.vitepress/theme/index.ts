import theme from 'vitepress/theme'
import { h } from 'vue'
import chat from '../../images/chat-desktop.png'
import './style.css'

const picture = (): unknown => h('img', { class: 'image-src', src: chat, alt: 'The chat of the examples, with rooms, people and a conversation' })

export default { extends: theme, Layout: () => h(theme.Layout, null, { 'home-hero-image': picture }) }
